"""Reports from whatever file people keep them in: id -> text, in the file's order.

CSV: a column of ids and one of texts. JSON: {id: text}, a list of {id, report}, R2Gen's
annotation.json, or ReXrank's {id: {model_prediction, section_findings}}. Plain text: a report a
line; its ids are the numbers of the lines. So are those of a CSV file of nothing but reports, as
R2Gen writes res.csv and gts.csv.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.errors import UserError, name_shown, shown
from rcan.reading import is_missing, parse_json, read_csv, read_text

SPLITS = ("train", "val", "test")
IDS = (
    "id", "study_id", "image_id", "dicom_id", "report_id", "uid", "key", "filename", "file_name",
)  # fmt: skip
# Names that say which side a text is on, then names that either side may have.
PREDICTION = (
    "prediction", "predictions", "predicted", "pred", "hypothesis", "generated",
    "generated_report", "output", "candidate", "model_prediction",
)  # fmt: skip
REFERENCE = (
    "reference", "references", "ref", "ground_truth", "gt", "target", "label", "section_findings",
)  # fmt: skip
EITHER = ("report", "text", "findings", "caption")
SIDES = {"predictions": PREDICTION, "references": REFERENCE, "reports": REFERENCE}
# Of a column, as a message may tell it: a report has more words than one. Pandas names its index.
_NAME = re.compile(r"[\w-]{1,40}|Unnamed: \d+")


@dataclass(frozen=True)
class Texts:
    """Reports as a file holds them; a missing text is empty. `by_line`: the ids are lines."""

    path: Path
    by_id: dict[str, str]
    by_line: bool = False


def read_texts(path: Path, side: str, split: str = "test", *, tell: bool = True) -> Texts:
    """The reports of one side.

    Args:
        side: "predictions", "references", or "reports" (of train): which column is meant.
        split: the one to take of an annotation.json.
        tell: whether a message may name ids and columns; not those of restricted data.

    Raises:
        UserError: no such file, no UTF-8, another format, no reports, an id twice.
    """
    remedy = f"give the {side} as CSV, JSON or plain text (see docs/scoring.md)"
    kind = path.suffix.lower()
    if path.is_dir():
        raise UserError(f"{path}: expected a file of {side}, found a folder; {remedy}")
    _require_there(path, side)
    if kind == ".csv":
        if lines := _of_bare_column(read_text(path, side, remedy)):
            return Texts(path, lines, by_line=True)
        pairs = _of_table(path, side, remedy, tell)
    elif kind == ".json":
        pairs = _of_json(path, side, split, remedy, tell)
    elif kind == ".txt":
        return Texts(path, _of_lines(path, side, remedy), by_line=True)
    else:
        raise UserError(f"{path}: expected the ending .csv, .json or .txt; {remedy}")
    found: dict[str, str] = {}
    for number, (name, text) in enumerate(pairs, start=1):
        name = name.strip()
        if not name:
            raise UserError(
                f"{path}: expected an id for every report, found none for number {number};"
                " mend the file"
            )
        if name in found:
            which = name_shown(name) if tell else "one"
            raise UserError(f"{path}: expected every id once, found {which} twice; mend the file")
        found[name] = "" if is_missing(text) else text
    if not found:
        raise UserError(f"{path}: expected {side}, found none; {remedy}")
    return Texts(path, found)


def has_both_sides(path: Path) -> bool:
    """Whether a table holds references beside its predictions, as our own predictions.csv does."""
    if path.suffix.lower() != ".csv" or path.is_dir():
        return False
    _require_there(path, "predictions")
    names = _columns(read_table(path, "reports", "give another file")[0])
    return bool(set(names) & set(PREDICTION)) and bool(set(names) & set(REFERENCE))


def _require_there(path: Path, side: str) -> None:
    if not path.exists():
        raise UserError(f"{path}: expected a file of {side}, found none; is its name right?")


def read_annotation(path: Path, *, tell: bool = True) -> dict[str, Texts] | None:
    """Split -> reports, if the file is R2Gen's annotation.json; None if it is any other."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    held = _json(path, "reports", "mend it", tell)
    if not _is_annotation(held):
        return None
    return {
        split: read_texts(path, "reports", split, tell=tell) for split in SPLITS if held.get(split)
    }


def read_table(path: Path, what: str, remedy: str) -> list[dict[str, str]]:
    """The rows of a CSV file, whatever its columns.

    Raises:
        UserError: no such file, no UTF-8, a damaged table, no row.
    """
    read_text(path, what, remedy)  # first: told once, not as a fault of the table besides
    return read_csv(path, {}, what, remedy)


def _of_table(path: Path, side: str, remedy: str, tell: bool) -> Iterator[tuple[str, str]]:
    rows = read_table(path, side, remedy)
    names = _columns(rows[0])
    ids = _id_column(names, rows, f"{path}", remedy, tell)
    texts = _text_column(names, side, f"{path}", remedy, tell)
    return ((row[ids], row[texts]) for row in rows)


def _of_bare_column(text: str) -> dict[str, str]:
    """Number of the line -> report of a table of one column that begins with a report, where others
    have their header; else nothing. Which it is its first full stop tells."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            if len(row) > 1 or not (rows or (row and row[0].rstrip().endswith("."))):
                return {}
            rows.append(row)
    except csv.Error:
        return {}
    while rows and not rows[-1]:
        rows.pop()
    return _numbered("".join(row) for row in rows)


def _numbered(lines: Iterable[str]) -> dict[str, str]:
    return {
        str(number): "" if is_missing(line) else line for number, line in enumerate(lines, start=1)
    }


def _columns(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a column is called, written our way -> each that is written so, their way."""
    names: dict[str, list[str]] = {}
    for name in row:
        ours = "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())
        names.setdefault(ours, []).append(name)
    return names


def _id_column(
    names: Mapping[str, list[str]], rows: Sequence[Mapping[str, Any]], place: str, remedy: str,
    tell: bool,
) -> str:  # fmt: skip
    """The column of ids, or the first of those that hold the same ones."""
    meant = [theirs for name in IDS for theirs in names.get(name, ())]
    if not meant:
        raise _lacking(names, IDS, "ids", place, remedy, tell)
    if all(len({str(row[name]).strip() for name in meant}) == 1 for row in rows):
        return meant[0]
    return _the_one(meant, "ids", IDS[0], place)


def _text_column(
    names: Mapping[str, list[str]], side: str, place: str, remedy: str, tell: bool
) -> str:
    """The column that names its side, or the only one that names none."""
    for known in (SIDES[side], EITHER):
        if meant := [theirs for name in known for theirs in names.get(name, ())]:
            return _the_one(meant, side, SIDES[side][0], place)
    raise _lacking(names, (*SIDES[side], *EITHER), side, place, remedy, tell)


def _the_one(meant: list[str], what: str, name: str, place: str) -> str:
    if len(meant) == 1:
        return meant[0]
    raise UserError(
        f"{place}: expected one column of {what}, found {' and '.join(map(name_shown, meant))};"
        f" name the one that is meant {name}, and rename the other"
    )


def _lacking(
    names: Mapping[str, list[str]], wanted: tuple[str, ...], what: str, place: str, remedy: str,
    tell: bool,
) -> UserError:  # fmt: skip
    theirs = [name for alike in names.values() for name in alike]
    known = [name for name in theirs if tell and _NAME.fullmatch(name)]
    found = ", ".join(known[:8]) or ("" if theirs else "none")
    if others := len(theirs) - len(known[:8]):
        found = f"{found} and {others} other{'s' * (others > 1)}" if found else "others"
    if len(known) < len(theirs):  # the first row may be a patient's
        found += ", or no header (reports alone, one a line, are read from a .txt)"
    return UserError(
        f"{place}: expected a column of {what} ({', '.join(wanted)}), found {found}; rename it, or"
        f" {remedy}"
    )


def _of_json(
    path: Path, side: str, split: str, remedy: str, tell: bool
) -> Iterator[tuple[str, str]]:
    held = _json(path, side, remedy, tell)
    annotation = _is_annotation(held)
    if annotation:
        if not held.get(split):
            raise UserError(
                f"{path}: expected studies under {shown(split)}, found none; name another --split"
                f" ({', '.join(name for name in SPLITS if held.get(name)) or 'there is none'})"
            )
        held = held[split]
    if isinstance(held, dict):
        for number, (name, text) in enumerate(held.items(), start=1):
            place = f"{path}, {name_shown(name) if tell else f'item {number}'}"
            if isinstance(text, dict):  # as ReXrank's are
                text = text[_text_column(_columns(text), side, place, remedy, tell)]
            yield name, _text(text, place, remedy)
        return
    for number, record in enumerate(held, start=1):
        place = f"{path}, item {number}"
        if not isinstance(record, dict):
            raise UserError(f"{place}: expected an object with id and report; {remedy}")
        names = _columns(record)
        # R2Gen's of MIMIC-CXR has study_id, too: there `id` is the one.
        of_ids = {"id": names["id"]} if annotation and "id" in names else names
        name = record[_id_column(of_ids, [record], place, remedy, tell)]
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise UserError(f"{place}: expected an id, a text or a whole number; {remedy}")
        text = record[_text_column(names, side, place, remedy, tell)]
        yield str(name), _text(text, place, remedy)


def _json(path: Path, side: str, remedy: str, tell: bool) -> Any:
    text = read_text(path, side, remedy)
    kind = list if text.lstrip().startswith("[") else dict
    try:
        return parse_json(text, kind, str(path), side, remedy)
    except UserError:
        if tell:
            raise
        raise UserError(f"{path}: expected {side} in JSON, every id once; {remedy}") from None


def _is_annotation(held: object) -> bool:
    return isinstance(held, dict) and any(isinstance(held.get(split), list) for split in SPLITS)


def _text(value: object, place: str, remedy: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 1:  # as R2GenGPT writes, for pycocoevalcap
        [value] = value
    if not isinstance(value, str):
        came = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
        raise UserError(f"{place}: expected a text, found {came}; {remedy}")
    return value


def _of_lines(path: Path, side: str, remedy: str) -> dict[str, str]:
    lines = read_text(path, side, remedy).replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise UserError(f"{path}: expected {side}, one a line, found none; {remedy}")
    return _numbered(lines)
