"""Image files of MIMIC-CXR-JPG, or of a copy of it in PNG."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rcan.data.images import file_version, read_grey
from rcan.data.study import RawImage

FOLDERS = ("files", "images")
ENDINGS = (".jpg", ".png")


def image_folders(root: Path) -> list[str]:
    """Those of FOLDERS that are there; the first if none is, for messages to name."""
    return [str(root / name) for name in FOLDERS if (root / name).is_dir()] or [str(root / "files")]


def raw_image(
    folders: Sequence[str], stem: str, name: str, projection: str | None, ending: str = ""
) -> RawImage:
    """The image at `stem`, a path in one of `folders` without its ending; `ending` goes first."""
    endings = dict.fromkeys((ending, *ENDINGS)) if ending else ENDINGS
    first = f"{folders[0]}/{stem}{next(iter(endings))}"
    for folder in folders:
        for one in endings:
            path = f"{folder}/{stem}{one}"
            if version := file_version(path):
                return RawImage(name, partial(_read, path), projection, version)
    return RawImage(name, partial(_read, first), projection, None)


def _read(path: str) -> np.ndarray:
    """A text takes a third of a Path's memory, and there are hundreds of thousands."""
    return read_grey(Path(path))
