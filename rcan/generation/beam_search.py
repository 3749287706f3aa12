"""Beam search over anything that has `step(tokens, state) -> logprobs`; it knows no model.

Scores are sums of log-probabilities, divided by length^penalty (0: the plain sum, as the paper).
The penalty decides which *finished* report wins and nothing before, so one search answers every
penalty of a list. A study is done as soon as none of its beams could still win under any of them;
when half of the studies are, the rest go on without them.

Of equal candidates the one of the better beam goes first, then the one of the lower word id.

Shapes: B studies, b of them still searched, K beams, Y vocabulary, T words at most, A penalties.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor


class State(Protocol):
    """What `step` carries along and changes; the search only asks it to follow the beams."""

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study i goes on from beam `beams[i, k]` of the same study."""

    def keep(self, studies: Tensor) -> None:
        """Go on with the studies of these numbers alone, in this order."""


S = TypeVar("S", bound=State)
Step = Callable[[Tensor, S], Tensor]


@torch.no_grad()
def beam_search(
    step: Step[S], state: S, *, num_studies: int, beam_size: int, max_length: int,
    bos_id: int, eos_id: int, pad_id: int,
    length_penalties: Sequence[float] = (0.0,), device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Best report of every study under every length penalty.

    `step` takes the last words (b, K) and gives log-probabilities (b, K, Y) of the next ones. A
    report ends with `eos_id`, or without it at `max_length` words. Its length counts the end mark.
    Of equal scores the report finished first wins. Penalties must not be negative.

    Returns words (A, B, T), filled up with `pad_id` and without `bos_id`, and scores (A, B).
    """
    B, K, T = num_studies, beam_size, max_length
    penalties = torch.tensor(length_penalties, dtype=torch.float32, device=device).view(-1, 1)
    tree = _Tree(len(penalties), B, K, T, device)
    studies = torch.arange(B, device=device)  # those still searched, (b,)
    sums = torch.full((B, K), float("-inf"), device=device)
    sums[:, 0] = 0.0  # all beams start alike: only the first counts
    tokens = torch.full((B, K), bos_id, dtype=torch.long, device=device)

    for length in range(1, T + 1):
        logprobs = step(tokens, state)
        sums, index = _best((sums.unsqueeze(-1) + logprobs).flatten(1), K)
        beams, tokens = index // logprobs.shape[-1], index % logprobs.shape[-1]
        finished = (tokens == eos_id) | (length == T)
        ended = sums.masked_fill(~finished, float("-inf")) / length ** penalties.unsqueeze(-1)
        best = tree.grow(studies, length, beams, tokens, ended)

        sums = sums.masked_fill(finished, float("-inf"))
        # Log-probabilities only lower a sum, and no report is longer than T.
        reachable = sums.max(1).values / T**penalties  # (A, b)
        searched = (reachable > best).any(0).nonzero().squeeze(1)
        if length == T or len(searched) == 0:
            break
        state.reorder(beams)
        if 2 * len(searched) <= len(studies):
            state.keep(searched)
            studies, sums, tokens = studies[searched], sums[searched], tokens[searched]
    return tree.reports(pad_id), tree.scores


def _best(candidates: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The `number` highest of each row and where they are; of equal ones the first.

    (b, n) -> values and indices, (b, number) each; `candidates` is used up. `topk` leaves open
    which of equal ones it takes.
    """
    found = []
    for _ in range(number):
        value, index = candidates.max(1, keepdim=True)
        found.append((value, index))
        candidates.scatter_(1, index, float("-inf"))
    values, indices = zip(*found, strict=True)
    return torch.cat(values, 1), torch.cat(indices, 1)


class _Tree:
    """Every beam's words as links to its parents, and where the best finished report ends."""

    def __init__(self, A: int, B: int, K: int, T: int, device: torch.device | str) -> None:
        self.words = torch.zeros(T, B, K, dtype=torch.long, device=device)
        self.parents = torch.zeros_like(self.words)
        self.scores = torch.full((A, B), float("-inf"), device=device)
        self.lengths = torch.zeros(A, B, dtype=torch.long, device=device)
        self.beams = torch.zeros_like(self.lengths)

    def grow(
        self, studies: Tensor, length: int, parents: Tensor, words: Tensor, ended: Tensor
    ) -> Tensor:
        """One more word of the beams of `studies` (b,); the best finished scores so far (A, b).

        `parents`, `words` (b, K); `ended` (A, b, K): the score of a report that ends here, else
        -inf.
        """
        self.words[length - 1, studies], self.parents[length - 1, studies] = words, parents
        score, beam = ended.max(-1)  # (A, b)
        before = self.scores[:, studies]
        better = score > before
        best = torch.where(better, score, before)
        self.scores[:, studies] = best
        self.lengths[:, studies] = torch.where(better, length, self.lengths[:, studies])
        self.beams[:, studies] = torch.where(better, beam, self.beams[:, studies])
        return best

    def reports(self, pad_id: int) -> Tensor:
        """The best reports (A, B, T), read from their ends backwards."""
        T = len(self.words)
        reports = self.words.new_full((*self.beams.shape, T), pad_id)
        beam = self.beams.T  # (B, A)
        for place in reversed(range(T)):
            within = place < self.lengths
            word = self.words[place].gather(1, beam)
            reports[:, :, place] = torch.where(within, word.T, pad_id)
            beam = torch.where(within.T, self.parents[place].gather(1, beam), beam)
        return reports
