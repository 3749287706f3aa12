"""Packing many image files into one array file, so that a stop at any point loses little.

The array is laid out whole at the start and each image is written to its own row. Beside it lies a
file of marks: the digest of what is being packed, then one byte an image, 1 once its row is safely
on disk. The next run keeps marked rows, or starts over when the digest is another.
"""

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from tqdm import tqdm

from rcan.data.images import fit_to_square
from rcan.data.raw import RawImage
from rcan.data.store import map_array
from rcan.errors import UserError

# What befalls a disk, a mount or a process, not an image.
_OF_THE_MACHINE = {
    errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM,
}  # fmt: skip
BLOCK = 256  # images between two times that rows and marks are forced to disk


class Images(Protocol):
    """What can be gone through more than once, in one order; it need not hold them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[RawImage]: ...


def key_of(images: Images, *, size: int, fit: str) -> str:
    """64 hex digits that name what is packed, and how."""
    digest = sha256(json.dumps([size, fit]).encode())
    for image in images:
        digest.update(json.dumps([image.name, image.version]).encode())
    return digest.hexdigest()


class Packing:
    """The packing of `images` into `array`, an .npy file of (len(images), size, size) uint8.

    `key` is `key_of` the same: what an earlier run packed under another is not kept.
    """

    def __init__(self, images: Images, *, key: str, size: int, fit: str, array: Path):
        self.images = images
        self.size = size
        self.fit = fit
        self.array = array
        self._shape = (len(images), size, size)
        self._marks = array.with_suffix(".done")
        self._key = key
        self.done = self._read_marks()

    @property
    def bytes_to_write(self) -> int:
        """Size of the rows that are not packed yet."""
        return self.done.count(0) * self.size**2

    def run(self) -> list[int]:
        """Pack what is not packed yet; return the rows whose image could not be read (black).

        Raises OSError when the disk fails or is full.
        """
        if 1 not in self.done:
            self._lay_out()
        unreadable = []
        offset = self._offset()
        # Plain writes, not a memory map: on a full disk a map kills the process without a word.
        with (
            self.array.open("r+b") as array,
            self._marks.open("r+b") as marks,
            ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads,
            tqdm(
                total=self.done.count(0), desc=f"pack {self.array.stem}", unit="image", disable=None
            ) as bar,
        ):
            for rows, images in self._blocks():
                for row, pixels in zip(rows, threads.map(self._read, images), strict=True):
                    if pixels is None:
                        unreadable.append(row)
                    else:
                        array.seek(offset + row * self.size**2)
                        array.write(pixels.tobytes())
                        self.done[row] = 1
                _force_to_disk(array)
                marks.seek(len(self._key))
                marks.write(self.done)
                _force_to_disk(marks)
                bar.update(len(rows))
        return unreadable

    def clear(self) -> None:
        """Forget the marks, once the array is in its final place."""
        self._marks.unlink(missing_ok=True)

    @contextmanager
    def packed(self) -> Iterator[Callable[[int], bytes]]:
        """What gives the pixels of a row. Plain reads: a map would count as memory in use."""
        offset, length = self._offset(), self.size**2
        with self.array.open("rb") as array:
            yield lambda row: os.pread(array.fileno(), length, offset + row * length)

    def _offset(self) -> int:
        """Where the first row begins."""
        return self.array.stat().st_size - len(self.images) * self.size**2

    def _blocks(self) -> Iterator[tuple[list[int], list[RawImage]]]:
        """Rows that are not packed yet and their images, so many that a stop loses little."""
        todo = ((row, image) for row, image in enumerate(self.images) if not self.done[row])
        while block := list(itertools.islice(todo, BLOCK)):
            yield [row for row, _ in block], [image for _, image in block]

    def _read(self, image: RawImage) -> np.ndarray | None:
        try:
            return fit_to_square(image.read(), self.size, self.fit)
        except (UserError, OSError) as error:
            _require_working_disk(error.__cause__ or error)
            return None

    def _read_marks(self) -> bytearray:
        """The marks of an earlier run that packed the very same, else none set."""
        if self._is_laid_out() and self._marks.is_file():
            content = self._marks.read_bytes()
            key, marks = content[: len(self._key)], content[len(self._key) :]
            if key == self._key.encode() and len(marks) == len(self.images):
                return bytearray(mark == 1 for mark in marks)
        return bytearray(len(self.images))

    def _is_laid_out(self) -> bool:
        """Whether the array is there and whole."""
        with contextlib.suppress(Exception):  # none yet, or damaged in any way
            array = map_array(self.array)
            return bool(array.shape == self._shape and array.dtype == np.uint8)
        return False

    def _lay_out(self) -> None:
        """Write an all-black array, then its marks: marks without their array are never trusted."""
        self.clear()
        self.array.unlink(missing_ok=True)  # it may be a link, or no file at all
        np.lib.format.open_memmap(self.array, mode="w+", dtype=np.uint8, shape=self._shape)
        self._marks.write_bytes(self._key.encode() + self.done)


def _require_working_disk(error: BaseException) -> None:
    """Raise `UserError` where no image is damaged: to leave it out would be to make other data."""
    if isinstance(error, OSError) and (
        error.errno in _OF_THE_MACHINE
        or (error.errno == errno.ENOENT and not os.path.lexists(str(error.filename)))
    ):
        raise UserError(
            f"{error.filename}: expected an image, got {error.strerror!r}, and it was there "
            "before: mend the disk or remove the file, and run again; what is packed is kept"
        ) from error


def _force_to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
