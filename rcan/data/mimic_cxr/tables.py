"""PhysioNet's tables, `.csv` or `.csv.gz`, a row at a time: the largest has 377,110."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rcan.errors import NamesNobodyError, reason_of
from rcan.reading import is_filled, require_file

REMEDY = "fetch it again from PhysioNet"
LONGEST_LINE = 100_000  # characters; a few kilobytes of gzip can hold a line of any length


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
