"""An image, or each map of a CNN, as the means of a coarse grid."""

import numpy as np


def grid_means(maps: np.ndarray, side: int) -> np.ndarray:
    """(..., h, w) -> (..., side, side), averaged as `torch.nn.functional.adaptive_avg_pool2d` does.

    In float32, of float64 in float64.
    """
    rows, columns = (_shares(length, side) for length in maps.shape[-2:])
    x = maps.astype(np.result_type(maps, np.float32), copy=False)
    means: np.ndarray = rows.astype(x.dtype) @ x @ columns.T.astype(x.dtype)
    return means


def _shares(length: int, side: int) -> np.ndarray:
    """(side, length): what each of `length` pixels counts in each of `side` means."""
    shares = np.zeros((side, length))
    for cell, row in enumerate(shares):
        first, end = cell * length // side, -(-(cell + 1) * length // side)
        row[first:end] = 1 / (end - first)
    return shares
