"""Features of a frozen CNN: computed once for each image, kept on disk, mapped when read."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from rcan.data.store import Split, map_array
from rcan.errors import UserError
from rcan.files import exclusive, replacing


def kept_features(
    split: Split, folder: Path, *, extract: Callable[[Tensor], Tensor], crop: int,
    map_shape: tuple[int, int, int], batch_size: int = 64,
) -> np.memmap:  # fmt: skip
    """Features of all images of `split`, (num_images, C, h, w) float16, from `folder` if there.

    `extract` takes images (n, crop, crop) uint8, cut from the centre, and gives (n, C, h, w) =
    `map_shape` each. `folder` must name all that the features depend on. Raises `UserError` when
    the disk lacks room.
    """
    path = folder / f"{split.name}.npy"
    shape = (len(split.images), *map_shape)
    kept = _kept(path, shape)
    if kept is None:
        doing = f"computing the features of the {split.name} split"
        with exclusive(folder / f".{split.name}.lock", doing, wait=True):
            kept = _kept(path, shape)  # another may have computed them meanwhile
            if kept is None:
                _compute(split, path, shape, extract, crop, batch_size)
                kept = map_array(path)
    return kept


def _kept(path: Path, shape: tuple[int, ...]) -> np.memmap | None:
    """What is kept in `path`; None if nothing is, or if it is damaged in any way."""
    with contextlib.suppress(Exception):
        kept = map_array(path)
        if kept.shape == shape and kept.dtype == np.float16:
            return kept
    return None


def _compute(
    split: Split, path: Path, shape: tuple[int, ...], extract: Callable[[Tensor], Tensor],
    crop: int, batch_size: int,
) -> None:  # fmt: skip
    needed, free = int(np.prod(shape)) * 2, shutil.disk_usage(path.parent).free
    if needed > free:
        raise UserError(
            f"the features of the {split.name} split need {needed / 1e6:.0f} MB in {path.parent}, "
            f"but {free / 1e6:.0f} MB are free: make room, or set visual.frozen to false"
        )
    first = (split.images.shape[-1] - crop) // 2
    centre = slice(first, first + crop)
    num_images = len(split.images)
    bar = tqdm(total=num_images, desc=f"features {split.name}", unit="image", disable=None)
    # Plain writes, not a memory map: on a full disk a map kills the process without a word.
    with replacing(path) as beside, beside.open("wb") as file, bar, torch.inference_mode():
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, num_images, batch_size):
            images = np.array(split.images[start : start + batch_size, centre, centre])
            maps = extract(torch.from_numpy(images))
            file.write(maps.half().cpu().contiguous().numpy().tobytes())
            bar.update(len(images))
