"""Studies to batches of tensors: shuffled, cropped, padded, as seed and epoch alone decide.

Shapes: B studies, I images a study, C channels, side pixels (or cells of a kept feature map).
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from rcan.data.store import PROJECTIONS

PROJECTION_IDS = {name: number for number, name in enumerate((None, *PROJECTIONS))}


class Batch(NamedTuple):
    """Some studies: what is seen and, for training, what was written."""

    images: Tensor  # (B, I, side, side) uint8, or (B, I, C, side, side) float16 features
    projections: Tensor  # (B, I) int64: 0 unknown, 1 frontal, 2 lateral
    tokens: Tensor  # (B, T) int64: bos, words, eos, then padding
    pad_id: int
    numbers: Tensor | None = None  # (B,) int64: places of the studies in their split

    def to(self, device: torch.device) -> "Batch":
        images, projections, tokens, pad_id, numbers = self
        if numbers is not None:
            numbers = numbers.to(device)
        return Batch(images.to(device), projections.to(device), tokens.to(device), pad_id, numbers)


class StudyBatches:
    """One split as batches.

    `source`: images (n, H, W) uint8 or features (n, C, h, w), mapped from disk. `rows` (N, I) and
    `projections` (N, I) say which of them belong to each study; `tokens` are its report's ids.
    `window`: side of what is cut from each, at random in training and from the centre otherwise.
    `lengths` (N,): of the reports, in tokens.
    """

    def __init__(
        self, source: np.ndarray, rows: np.ndarray, projections: np.ndarray,
        tokens: Iterable[Sequence[int]], *, window: int | None, batch_size: int, pad_id: int,
    ) -> None:  # fmt: skip
        self.source, self.rows = source, rows
        self.batch_size, self.pad_id = batch_size, pad_id
        self.projections = torch.from_numpy(projections)
        # One flat array: a large data set's reports take several times the memory as lists.
        flat, lengths = array("i"), array("q")
        for ids in tokens:
            flat.extend(ids)
            lengths.append(len(ids))
        self._tokens, self.lengths = np.array(flat), np.array(lengths)
        self._ends = np.cumsum(self.lengths)
        # Every window of every image, (n, [C,] places down, places across, window, window), a view
        # of the map as a plain array: np.memmap's own indexing is slower.
        sides = (window,) * 2 if window else source.shape[-2:]
        self._windows = sliding_window_view(np.asarray(source), sides, axis=(-2, -1))

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
            yield self.batch_of(everyone[first : first + self.batch_size], rng=None)

    def shuffled(
        self, *, seed: int, epoch: int, length_buckets: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[Batch]:
        """The batches of one epoch of training; of several processes each gets its share of each.

        `length_buckets`: so many batches' studies are sorted by report length before they are cut
        into batches (less padding); 1 shuffles plainly.
        """
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self))
        batches = []
        pool = self.batch_size * length_buckets
        for first in range(0, len(order), pool):
            some = order[first : first + pool]
            if length_buckets > 1:
                some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += [some[i : i + self.batch_size] for i in range(0, len(some), self.batch_size)]
        for number in rng.permutation(len(batches)) if length_buckets > 1 else range(len(batches)):
            studies = batches[number]
            first = rank % len(studies)  # none may be without: several have one of too few
            own = np.random.default_rng([seed, epoch, int(number), 0])
            yield self.batch_of(studies, rng=own, share=slice(first, None, world_size))

    def batch_of(
        self, studies: np.ndarray, rng: np.random.Generator | None, share: slice = slice(None)
    ) -> Batch:
        """Some studies, of which `share` is wanted; each is cut as it would be with all of them.

        `studies`: their places in the split; `rng`: what draws the windows, None: the centre.
        """
        rows = self.rows[studies]
        num_places = self._windows.shape[-3]
        if rng is None:
            top, left = np.full((2, *rows.shape), (num_places - 1) // 2)
        else:
            corners = rng.integers(0, num_places, size=(rows.size, 2))
            top, left = corners.T.reshape(2, *rows.shape)
        studies, rows, top, left = (x[share] for x in (studies, rows, top, left))
        images = self._windows[rows, ..., top, left, :, :]
        return Batch(
            torch.from_numpy(np.ascontiguousarray(images)),
            self.projections[studies],
            torch.from_numpy(self._padded(studies)),
            self.pad_id,
            torch.from_numpy(studies),
        )

    def _padded(self, studies: np.ndarray) -> np.ndarray:
        """(B, T) int64: the token ids of some studies, as wide as the longest of them."""
        lengths, ends = self.lengths[studies], self._ends[studies]
        padded = np.full((len(studies), lengths.max()), self.pad_id, dtype=np.int64)
        for row, length, end in zip(padded, lengths, ends, strict=True):
            row[:length] = self._tokens[end - length : end]
        return padded
