"""The studies of a folder, kept on disk while they are worked on: memory holds none."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np

from rcan.data.images import read_grey
from rcan.data.mimic_cxr.pictures import Picture
from rcan.data.raw import RawImage, RawStudy


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
