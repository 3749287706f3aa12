"""Putting processed data in place, whole, and what a disk has against it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rcan.data.study import SPLITS
from rcan.errors import UserError
from rcan.files import write_json

FILES = tuple(f"{split}{ending}" for split in SPLITS for ending in (".jsonl", ".npy"))


def move(work: Path, out: Path, summary: dict[str, Any]) -> None:
    """Move whole files into `out`; the summary goes first and comes last, so it vouches for all."""
    (out / "summary.json").unlink(missing_ok=True)
    for name in FILES:
        beside = out / f".{name}.tmp"
        shutil.move(work / name, beside)  # a copy if `work` is on another disk, hence not direct
        os.replace(beside, out / name)
    write_json(out / "summary.json", summary)


@contextmanager
def disk_trouble(work: Path) -> Iterator[None]:
    """Make one `UserError` of a failure to write."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable or name another folder"
        raise UserError(
            f"{error.filename or work}: expected to write processed data, got "
            f"{error.strerror!r}; {remedy} and run again: what is packed is kept"
        ) from error


def require_writable(out: Path) -> None:
    """Raise `OSError` unless files can be made in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def require_space(work: Path, needed: int) -> None:
    """Raise `UserError` unless so many bytes are free."""
    free = shutil.disk_usage(work).free
    if needed > free:
        raise UserError(
            f"{work}: expected {needed} bytes of free disk for packed images, found {free}; "
            "free some space or lower data.image_size"
        )
