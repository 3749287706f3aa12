"""Image files of MIMIC-CXR-JPG, or of a copy of it in PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rcan.data.images import file_version

FOLDERS = ("files", "images")
ENDINGS = (".jpg", ".png")


class Picture(NamedTuple):
    """An image file that was found or, with no version, where it was looked for."""

    name: str
    path: str
    projection: str | None
    version: str | None


def image_folders(root: Path) -> list[str]:
    """Those of FOLDERS that are there; the first if none is, for messages to name."""
    return [str(root / name) for name in FOLDERS if (root / name).is_dir()] or [str(root / "files")]


def find_picture(
    folders: Sequence[str], stem: str, name: str, projection: str | None, ending: str = ""
) -> Picture:
    """The image at `stem`, a path in one of `folders` without its ending; `ending` goes first."""
    endings = dict.fromkeys((ending, *ENDINGS)) if ending else ENDINGS
    first = f"{folders[0]}/{stem}{next(iter(endings))}"
    for folder in folders:
        for one in endings:
            path = f"{folder}/{stem}{one}"
            if version := file_version(path):
                return Picture(name, path, projection, version)
    return Picture(name, first, projection, None)
