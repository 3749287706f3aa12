"""What studies share that they should not: equal images, and a patient in more than one split.

Nothing is left out for it, since a published split is kept as it is; it is told in the summary. A
report is no sign: half of IU X-ray's test reports occur word for word in train.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import groupby

from rcan.data.problems import Problems
from rcan.data.selection import Cleaned
from rcan.data.study import Study

_TABLES = (
    "create table image (digest blob primary key, split text, told text) without rowid",
    "create table patient (name text, split text, study text, unique (name, split))",
)


class Overlap:
    """The images and patients met so far, in `database`; studies come in the order of splits."""

    def __init__(self, database: sqlite3.Connection, problems: Problems) -> None:
        for table in _TABLES:
            database.execute(table)
        self._database = database
        self._problems = problems

    def noting(
        self, studies: Iterable[Cleaned], pixels_of: Callable[[int], bytes]
    ) -> Iterator[Study]:
        """Pass studies through, and note each of their images that equals an earlier one.

        `pixels_of` gives the pixels of a row. Only rows that a view points to count: those of
        unreadable images are all black.
        """
        for one in studies:
            study = one.study
            for view, name in zip(study.views, one.image_names, strict=True):
                told = f"{study.split} {study.id}: {name}"
                self._note_image(pixels_of(view.row), study.split, told)
            if one.patient is not None:
                self._insert("patient", one.patient, study.split, study.id)
            yield study

    def note_patients(self) -> None:
        """Note each patient seen in more than one split, with the first study in each."""
        shared = "select name from patient group by name having count(*) > 1"
        rows = self._database.execute(
            f"select * from patient where name in ({shared}) order by name, rowid"
        )
        for patient, found in groupby(rows, key=lambda row: row[0]):
            told = ", ".join(f"{split} {study_id}" for _, split, study_id in found)
            self._problems.add("patient_in_two_splits", f"{patient}: {told}")

    def _note_image(self, pixels: bytes, split: str, told: str) -> None:
        digest = blake2b(pixels, digest_size=16).digest()
        if not self._insert("image", digest, split, told):
            query = "select split, told from image where digest = ?"
            first_split, first = self._database.execute(query, (digest,)).fetchone()
            kind = "image_twice" if first_split == split else "image_in_two_splits"
            self._problems.add(kind, f"{told} equals {first}")

    def _insert(self, table: str, *row: object) -> bool:
        """Whether it was not there yet."""
        found = self._database.execute(f"insert or ignore into {table} values (?, ?, ?)", row)
        return bool(found.rowcount)
