"""PhysioNet's tables, `.csv` or `.csv.gz`: the official split, its views and, if there, labels.

The largest has 377,110 rows: they are read one at a time, and joined in a database on disk.
"""

import csv
import gzip
import io
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rcan.data.raw import Problems
from rcan.errors import NamesNobodyError, reason_of
from rcan.reading import is_filled, is_missing, require_file

REMEDY = "fetch it again from PhysioNet"
LONGEST_LINE = 100_000  # characters; a few kilobytes of gzip can hold a line of any length
SPLIT_OF = {"train": "train", "validate": "val", "test": "test"}
FRONTAL = ("AP", "PA")
LATERAL = ("LATERAL", "LL", "XTABLE LATERAL")
_NUMBER = re.compile("[0-9]{1,12}")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # it becomes a file's name
_VALUES = {"1.0": "", "1": "", "-1.0": "/uncertain", "-1": "/uncertain"}
_ABSENT = ("0.0", "0")
_TABLES = (
    "create table study (number integer primary key, id text unique, patient text, split text,"
    " labels text, report blob)",
    # `line`: its line in the metadata, none where it is not there
    "create table image (name text unique, study integer, line integer, rank integer default 1,"
    " projection text)",
    "create index image_of_study on image (study)",  # after the rows, SQLite would sort in memory
)


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """One study of the official split and its images, the one to read first in front."""

    id: str
    patient: str
    split: str
    images: list[tuple[str, str | None]]  # name, projection
    labels: list[str] | None  # CheXpert's, None where none are told
    report: str | None  # path of its file

    @property
    def place(self) -> str:
        """Its folder as PhysioNet lays it out: `p10/p10000032/s50414267`."""
        return f"p{self.patient[:2]}/p{self.patient}/s{self.id}"


class Listing:
    """The studies of the tables in `root`, in the order of the split's.

    Which image comes first: a frontal one (AP or PA), else one whose view is not told or another,
    else a lateral one; of several such, the first in the metadata. Raises NamesNobodyError when a
    table is missing or damaged.
    """

    def __init__(self, root: Path, database: sqlite3.Connection, problems: Problems) -> None:
        self._database = database
        self._number = 0
        for table in _TABLES:
            database.execute(table)
        self._read_split(_required(root, "split"), problems)
        self._read_metadata(_required(root, "metadata"))
        if path := find_table(root, "chexpert"):
            self._database.executemany("update study set labels = ? where id = ?", _labels(path))

    def __len__(self) -> int:
        return self._number

    def add_report(self, patient: str, study_id: str, path: str) -> bool:
        """Whether there is such a study, which has its report now."""
        change = "update study set report = ? where id = ? and patient = ?"
        return bool(self._database.execute(change, (os.fsencode(path), study_id, patient)).rowcount)

    def studies(self, problems: Problems) -> Iterator[ListedStudy]:
        """Each study; noted are those without a frontal image and images without metadata."""
        found = self._database.execute(
            "select number, id, patient, split, labels, report from study order by number"
        )
        for number, study_id, patient, split, labels, report in found:
            images = self._database.execute(
                "select name, projection, rank, line is null from image where study = ?"
                " order by rank, line is null, line, rowid",
                (number,),
            ).fetchall()
            for name, _, _, unknown in images:
                if unknown:
                    problems.add("image_not_in_metadata", f"{study_id}: {name}")
            if images[0][2]:
                problems.add("no_frontal", study_id)
            yield ListedStudy(
                study_id, patient, split, [image[:2] for image in images],
                None if labels is None else json.loads(labels),
                None if report is None else os.fsdecode(report),
            )  # fmt: skip

    def _read_split(self, path: Path, problems: Problems) -> None:
        columns = ("dicom_id", "study_id", "subject_id", "split")
        for number, (name, study_id, patient, split) in _rows(path, columns):
            known = _NUMBER.fullmatch(study_id) and _NUMBER.fullmatch(patient) and split in SPLIT_OF
            if not known or not _NAME.fullmatch(name):
                raise NamesNobodyError(
                    f"{path}, row {number}: expected a dicom_id, a study_id and subject_id of "
                    f"digits, and one of the splits {', '.join(SPLIT_OF)}, found another; {REMEDY}"
                )
            self._add_image(name, study_id, patient, SPLIT_OF[split], problems)

    def _add_image(
        self, name: str, study_id: str, patient: str, split: str, problems: Problems
    ) -> None:
        query = "select number, patient, split from study where id = ?"
        known = self._database.execute(query, (study_id,)).fetchone()
        study = known[0] if known else self._number
        differs = known is not None and known[1:] != (patient, split)
        row = name, None if differs else study
        added = "insert or ignore into image (name, study) values (?, ?)"
        if not self._database.execute(added, row).rowcount:
            problems.add("duplicate_row", name)
        elif differs:
            problems.add("split_differs", study_id)
        elif not known:
            added = "insert into study (number, id, patient, split) values (?, ?, ?, ?)"
            self._database.execute(added, (study, study_id, patient, split))
            self._number += 1

    def _read_metadata(self, path: Path) -> None:
        """Of several rows of one image the first counts."""
        self._database.executemany(
            "update image set line = ?, rank = ?, projection = ? where name = ? and line is null",
            (
                (line, *_told(view.strip().upper()), name)
                for line, (name, view) in _rows(path, ("dicom_id", "ViewPosition"))
            ),
        )


def _required(root: Path, kind: str) -> Path:
    path = find_table(root, kind)
    if path is None:
        raise NamesNobodyError(
            f"{root / f'mimic-cxr-2.0.0-{kind}.csv.gz'}: expected it beside the others, found no "
            "such file; fetch it from https://physionet.org/content/mimic-cxr-jpg"
        )
    return path


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """`read_columns` with a bar."""
    return iter(tqdm(read_columns(path, columns), desc=path.name, unit="row", disable=None))


def _told(view: str) -> tuple[int, str | None]:
    """Rank and projection of a view."""
    if view.split(" ")[0] in FRONTAL:  # "PA LLD", too
        return 0 if view in FRONTAL else 1, "frontal"
    return (2, "lateral") if view in LATERAL else (1, None)


def _labels(path: Path) -> Iterator[tuple[str, str]]:
    """Yield CheXpert's labels that are not absent, `edema` and `pneumonia/uncertain` in JSON, and
    the study of each row. Raises NamesNobodyError for a damaged table."""
    names = [name for name in columns_of(path) if name not in ("subject_id", "study_id")]
    for number, (study_id, *values) in _rows(path, ("study_id", *names)):
        if not all(value in _VALUES or value in _ABSENT or is_missing(value) for value in values):
            raise NamesNobodyError(
                f"{path}, row {number}: expected 1.0, 0.0, -1.0 or nothing as a label, found "
                f"another; {REMEDY}"
            )
        found = [
            f"{name.lower()}{_VALUES[value]}"
            for name, value in zip(names, values, strict=True)
            if value in _VALUES
        ]
        yield json.dumps(found), study_id


def find_table(root: Path, kind: str) -> Path | None:
    """`mimic-cxr-2.0.0-<kind>.csv` or `.csv.gz` in `root`; of several the newest."""
    for ending in (".csv", ".csv.gz"):
        found = sorted(root.glob(f"mimic-cxr-*-{kind}{ending}"))
        if found:
            return found[-1]
    return None


def columns_of(path: Path) -> list[str]:
    """The header of a table. Raises NamesNobodyError when it cannot be read."""
    return next(_cells(path), (0, []))[1]


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number, for which empty rows count, too, and the cells of `columns` of each row.

    Memory holds one row. Raises NamesNobodyError for a damaged table or a column that is missing.
    """
    rows = _cells(path)
    first, header = next(rows, (0, []))
    missing = [name for name in columns if name not in header]
    if missing:
        raise NamesNobodyError(
            f"{path}: expected the columns {', '.join(columns)}, found no {missing[0]}; {REMEDY}"
        )
    places = [header.index(name) for name in columns]
    number = first
    for number, row in rows:
        if len(row) < len(header) or is_filled(row[len(header) :]):
            raise NamesNobodyError(
                f"{path}, row {number}: expected {len(header)} cells, found {len(row)}; {REMEDY}"
            )
        yield number, [row[place] for place in places]
    if number == first:
        raise NamesNobodyError(f"{path}: expected rows, found none; {REMEDY}")


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, with their numbers; the first is the header."""
    try:
        require_file(path)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            for number, row in enumerate(csv.reader(_lines(text), strict=True), start=1):
                if is_filled(row):
                    yield number, row
    except (gzip.BadGzipFile, EOFError, UnicodeError, csv.Error, zlib.error) as error:
        raise NamesNobodyError(f"{path}: expected a table ({error}); {REMEDY}") from error
    except OSError as error:
        raise NamesNobodyError(
            f"{path}: expected a table ({reason_of(error)}); make it readable and run again"
        ) from error


def _lines(text: io.TextIOBase) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line of {LONGEST_LINE} characters or more")
        yield line
