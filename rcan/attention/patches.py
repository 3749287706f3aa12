"""Which part of the picture a patch stands for.

A cell of the CNN's map sees far more than one part of the picture; it stands here for the pixels
that lie nearer to the middle of what it sees than to any other cell's. That middle is at `stride` x
number of the cell, and not in the middle of the n-th tile: every layer is padded by half its
kernel, so the first cell looks at the very corner.

Shapes: I images a study, g x g patches an image, S = I·g·g in this order, size pixels a side.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2

import numpy as np

from rcan.config import Settings


@dataclass(frozen=True)
class Places:
    """`axis` (g, size): what share of a row (or column) of patches lies on each row of pixels."""

    axis: np.ndarray
    num_images: int

    @property
    def num_patches(self) -> int:
        """S."""
        return self.num_images * len(self.axis) ** 2

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """Weights of patches (..., S) over the pixels they stand for: (..., I, size, size).

        The sum stays what it is.
        """
        side = len(self.axis)
        grid = weights.reshape(*weights.shape[:-1], self.num_images, side, side)
        pixels: np.ndarray = self.axis.T @ grid @ self.axis
        return pixels

    def even(self) -> np.ndarray:
        """(I, size, size): what every pixel gets when all patches weigh the same."""
        return self.spread(np.full(self.num_patches, 1 / self.num_patches))

    def times_even(self, weights: np.ndarray, num_views: int) -> np.ndarray:
        """(num_views, size, size): attention (S,) on each pixel over what it would get if all
        patches weighed the same, NaN where no patch lies; a repeated view is one with itself."""
        spread, even = (
            np.concatenate([x[: num_views - 1], x[num_views - 1 :].sum(0, keepdims=True)])
            for x in (self.spread(weights), self.even())
        )
        ratio: np.ndarray = np.divide(spread, even, out=np.full_like(even, np.nan), where=even > 0)
        return ratio


def places_of(settings: Settings, map_side: int) -> Places:
    """Where the patches lie in packed images; `map_side` is that of the CNN's map of a crop."""
    visual = settings.visual
    cells = _cells(visual.crop, map_side)
    window = visual.feature_window if visual.frozen else None
    if window:
        first = (map_side - window) // 2
        cells = cells[first : first + window]
    pooled = _pooled(cells, visual.feature_pool)
    patches = _averaged(pooled, visual.token_grid) if visual.token_grid else pooled
    size = settings.data.image_size
    border = (size - visual.crop) // 2
    axis = np.stack([_shares(border + start, border + end, size) for start, end in patches])
    return Places(axis, settings.data.num_views)


Span = tuple[float, float]  # from, to, in pixels


def _cells(crop: int, map_side: int) -> list[Span]:
    """The pixels of each cell of the CNN's map along one side of the crop."""
    stride = 2 ** ceil(log2(crop / map_side))  # all strides are 2, and sides are rounded up
    between = [stride * (cell + 0.5) + 0.5 for cell in range(map_side - 1)]
    edges = [0.0, *between, float(crop)]
    return list(pairwise(edges))


def _pooled(cells: list[Span], side: int) -> list[Span]:
    """As mean pooling joins cells; the last ones may be fewer."""
    groups = [cells[first : first + side] for first in range(0, len(cells), side)]
    return [(group[0][0], group[-1][1]) for group in groups]


def _averaged(cells: list[Span], grid: int) -> list[Span]:
    """As adaptive averaging joins cells; neighbours may share one."""
    n = len(cells)
    return [(cells[i * n // grid][0], cells[-(-(i + 1) * n // grid) - 1][1]) for i in range(grid)]


def _shares(start: float, end: float, size: int) -> np.ndarray:
    """(size,): the share of the span that lies on each pixel."""
    pixel = np.arange(size)
    on_pixel = np.clip(np.minimum(end, pixel + 1) - np.maximum(start, pixel), 0, None)
    shares: np.ndarray = on_pixel / (end - start)
    return shares
