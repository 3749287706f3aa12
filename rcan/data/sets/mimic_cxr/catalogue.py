"""The studies of a folder, kept on disk while they are worked on, and the image files they have."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from rcan.data.images import file_version, read_grey
from rcan.data.raw import RawImage, RawStudy

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


class Catalogue(Sequence[RawStudy]):
    """Studies in `database`, in the order in which they were added, each read when asked for."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._number = 0
        self.has_image = False  # of any study
        database.execute("drop table if exists catalogue")  # that of another layout
        database.execute("create table catalogue (number integer primary key, study text)")

    def add(
        self, study_id: str, split: str, report: str, pictures: Iterable[Picture],
        labels: Sequence[str] | None, patient: str,
    ) -> None:  # fmt: skip
        pictures = list(pictures)
        self.has_image |= any(picture.version is not None for picture in pictures)
        record = json.dumps([study_id, split, report, pictures, labels, patient])
        self._database.execute("insert into catalogue values (?, ?)", (self._number, record))
        self._number += 1

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[RawStudy]:
        for (record,) in self._database.execute("select study from catalogue order by number"):
            yield _study(record)

    @overload
    def __getitem__(self, index: int) -> RawStudy: ...

    @overload
    def __getitem__(self, index: slice) -> list[RawStudy]: ...

    def __getitem__(self, index: int | slice) -> RawStudy | list[RawStudy]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        query = "select study from catalogue where number = ?"
        [record] = self._database.execute(query, (range(len(self))[index],)).fetchone()
        return _study(record)


def _study(record: str) -> RawStudy:
    study_id, split, report, pictures, labels, patient = json.loads(record)
    images = tuple(_image(*picture) for picture in pictures)
    labels = None if labels is None else tuple(labels)
    return RawStudy(study_id, split, report, images, labels, patient)


def _image(name: str, path: str, projection: str | None, version: str | None) -> RawImage:
    return RawImage(name, partial(_read, path), projection, version)


def _read(path: str) -> np.ndarray:
    return read_grey(Path(path))
