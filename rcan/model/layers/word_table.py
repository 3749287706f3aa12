"""What the decoder reads for a word at a position, worked out once and then looked up.

When generating, nothing is dropped at random, so a word's embedding, position, memory response and
gates depend on the word and its position alone. Reports repeat themselves: of a split's words
nearly all have stood at that position before, and the memory is asked for the few that have not.

Shapes: n words, any leading shape (...), w width of a row.
"""

from collections.abc import Callable

import torch
from torch import Tensor


class WordTable:
    """Rows of `compute(words, position)`, kept: good as long as the weights behind it stay.

    `compute`: words (n,) int64 at one position -> (n, w). It is asked for each pair of word and
    position at most once. Reports that say everything everywhere would fill the table: positions x
    words x w numbers (190 MB at the paper's sizes for IU X-ray); real ones fill a small part.
    """

    def __init__(
        self, compute: Callable[[Tensor, int], Tensor], *, num_words: int, num_positions: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self._compute = compute
        self._row_of = torch.full((num_positions, num_words), -1, device=device)
        self._rows = torch.empty(0, 0)  # (capacity, w), twice as many whenever it is full
        self._used = 0

    def __len__(self) -> int:
        """Pairs of word and position met so far."""
        return self._used

    def look_up(self, words: Tensor, position: int) -> Tensor:
        """Words (...) int64, all at `position` -> their rows (..., w)."""
        row_of = self._row_of[position]
        rows = row_of[words]
        unknown = words[rows < 0]
        if len(unknown):
            new = unknown.unique()
            row_of[new] = self._append(self._compute(new, position))
            rows = row_of[words]
        return self._rows[rows]

    def _append(self, rows: Tensor) -> Tensor:
        """Keep `rows` and return their numbers."""
        first, self._used = self._used, self._used + len(rows)
        if self._used > len(self._rows):
            grown = rows.new_empty(2 * self._used, rows.shape[1])
            if first:
                grown[:first] = self._rows[:first]
            self._rows = grown
        self._rows[first : self._used] = rows
        return torch.arange(first, self._used, device=rows.device)
