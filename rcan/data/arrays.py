"""The .npy files of this project: rows of numbers behind a short header, mapped from disk."""

from pathlib import Path

import numpy as np

from rcan.reading import require_file


def map_array(path: Path) -> np.memmap:
    """The array of a whole file, without pickle.

    Raises whatever kind of error NumPy meets in a damaged header, which it reads as Python.
    """
    require_file(path)
    array: np.memmap = np.lib.format.open_memmap(path, mode="r")
    if not array.flags.c_contiguous or array.offset + array.nbytes != path.stat().st_size:
        raise ValueError("it is not as its header says")
    return array
