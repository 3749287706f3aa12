"""Studies to batches of tensors: shuffled, cropped, padded, as seed and epoch alone decide.

Shapes: B studies, I images a study, C channels, side pixels (or cells of a kept feature map).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PROJECTIONS = {None: 0, "frontal": 1, "lateral": 2}


@dataclass(frozen=True)
class Batch:
    """Some studies: what is seen and, for training, what was written."""

    images: Tensor  # (B, I, side, side) uint8, or (B, I, C, side, side) float16 features
    projections: Tensor  # (B, I) int64: 0 unknown, 1 frontal, 2 lateral
    tokens: Tensor  # (B, T) int64: bos, words, eos, then padding

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(x.to(device) for x in (self.images, self.projections, self.tokens)))


class StudyBatches:
    """One split as batches.

    `source`: images (n, H, W) uint8 or features (n, C, h, w), mapped from disk. `rows` (N, I) and
    `projections` (N, I) say which of them belong to each study; `tokens` are its report's ids.
    `window`: side of what is cut from each, at random in training and from the centre otherwise.
    """

    def __init__(
        self, source: np.ndarray, rows: np.ndarray, projections: np.ndarray,
        tokens: Sequence[Sequence[int]], *, window: int | None, batch_size: int, pad_id: int,
    ) -> None:  # fmt: skip
        self.source, self.rows, self.tokens = source, rows, tokens
        self.projections = torch.from_numpy(projections)
        self.window, self.batch_size, self.pad_id = window, batch_size, pad_id

    def __len__(self) -> int:
        """Number of studies."""
        return len(self.rows)

    @property
    def num_batches(self) -> int:
        return -(-len(self) // self.batch_size)

    def in_order(self) -> Iterator[Batch]:
        """Every study once, in the order of the split, cut from the centre."""
        everyone = np.arange(len(self))
        for first in range(0, len(self), self.batch_size):
            yield self._batch(everyone[first : first + self.batch_size], rng=None)

    def shuffled(
        self, *, seed: int, epoch: int, length_buckets: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[Batch]:
        """The batches of one epoch of training; of several processes each gets its share of each.

        `length_buckets`: so many batches' studies are sorted by report length before they are cut
        into batches (less padding); 1 shuffles plainly.
        """
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self))
        lengths = np.array([len(ids) for ids in self.tokens])
        batches = []
        pool = self.batch_size * length_buckets
        for first in range(0, len(order), pool):
            some = order[first : first + pool]
            some = some[np.argsort(lengths[some], kind="stable")] if length_buckets > 1 else some
            batches += [some[i : i + self.batch_size] for i in range(0, len(some), self.batch_size)]
        for number in rng.permutation(len(batches)) if length_buckets > 1 else range(len(batches)):
            studies = batches[number]
            if world_size > 1:  # equal shares: the first studies fill up the last share
                studies = np.resize(studies, -(-len(studies) // world_size) * world_size)
            own = np.random.default_rng([seed, epoch, int(number), rank])
            yield self._batch(studies[rank::world_size], rng=own)

    def _batch(self, studies: np.ndarray, rng: np.random.Generator | None) -> Batch:
        rows = self.rows[studies]
        side = self.source.shape[-1]
        window = self.window or side
        if rng is None:
            corners = np.full((rows.size, 2), (side - window) // 2)
        else:
            corners = rng.integers(0, side - window + 1, size=(rows.size, 2))
        shape = (*self.source.shape[1:-2], window, window)
        images = np.empty((rows.size, *shape), dtype=self.source.dtype)
        for image, row, (top, left) in zip(images, rows.flat, corners, strict=True):
            image[...] = self.source[row, ..., top : top + window, left : left + window]
        tokens = [torch.tensor(self.tokens[i]) for i in studies]
        return Batch(
            torch.from_numpy(images.reshape(*rows.shape, *shape)),
            self.projections[studies],
            torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=self.pad_id),
        )
