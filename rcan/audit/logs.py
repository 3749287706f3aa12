"""Printed scores from tables and logs: rows of BLEU-1 to -4 of validation and test, as text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rcan.errors import UserError
from rcan.reading import read_text
from rcan.scoring.texts import read_table

ORDERS = ("1", "2", "3", "4")
_SPLITS = {
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test",
    "train": "train", "training": "train",
}  # fmt: skip
_WORDS = "|".join(sorted(_SPLITS, key=len, reverse=True))
# test_BLEU_4, test_BLEU-4, test/bleu4, val BLEU@4; without a split it is taken for test.
_NAME = re.compile(rf"(?:({_WORDS})[\s_./-]*)?bleu[\s_@-]*([1-4])", re.IGNORECASE)
# Of a log: a name as above and a number, `    val_BLEU_1     : 0.2393`, whatever stands before;
# also of Python's dicts and of JSON, `{'Bleu_1': np.float64(0.2393)}`.
_LINE = re.compile(
    rf"(?<![\w-]){_NAME.pattern}[\"']?\s*[:=]\s*[\"']?(?:(?:np\.|numpy\.)?\w+\()?"
    r"([0-9.]+(?:e[+-]?[0-9]+)?)(?![\w.])",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?<![\w-])epoch[\"']?\s*[:=]?\s*([0-9]+)(?![\w.])", re.IGNORECASE)
# A split that a line names, `Validation result: {...}` or `"val": {`, in no path and no other name.
_NAMED = re.compile(rf"(?<![\w./-])({_WORDS})(?![\w./-])", re.IGNORECASE)
_HEADING = re.compile(r"[^0-9]{1,60}[:{=#*-]\s*")
_REMEDY = "give a table or log with columns such as test_BLEU_1 to test_BLEU_4"
_LACKING = ("", "nan", "none", "null", "-")


@dataclass
class Row:
    """One set of scores: where it stands, its epoch if told, split -> order -> as printed."""

    place: str
    epoch: str = ""
    scores: dict[str, dict[str, str]] = field(default_factory=dict)

    def vector(self, split: str) -> list[str] | None:
        """BLEU-1 to -4 of a split; None unless all four are there."""
        held = self.scores.get(split, {})
        return [held[order] for order in ORDERS] if len(held) == len(ORDERS) else None


def read_log(path: Path) -> list[Row]:
    """The rows of a CSV table (by its ending) or of a plain text log that hold a set of scores.

    Raises:
        UserError: no such file, no UTF-8, a damaged table, no row with four scores of a split.
    """
    if path.is_dir():
        raise UserError(f"{path}: expected a file of scores, found a folder; {_REMEDY}")
    rows = _of_table(path) if path.suffix.lower() == ".csv" else _of_text(path)
    found = [row for row in rows if row.vector("val") or row.vector("test")]
    if not found:
        raise UserError(f"{path}: expected rows with BLEU-1 to -4, found none; {_REMEDY}")
    return found


def _of_table(path: Path) -> Iterator[Row]:
    table = read_table(path, "rows of scores", _REMEDY)
    columns: dict[str, tuple[str, str]] = {}
    for name in table[0]:
        if met := _NAME.fullmatch(name.strip()):
            columns[name] = (_split(met[1]), met[2])
    if len(set(columns.values())) < len(columns):
        raise UserError(f"{path}: expected every score in one column, found one in two; mend it")
    for number, cells in enumerate(table, start=1):
        row = Row(f"row {number}", cells.get("epoch") or cells.get("epochs") or "")
        for name, (split, order) in columns.items():
            _add(row, split, order, cells[name])
        yield row


def _of_text(path: Path) -> Iterator[Row]:
    yield from _rows(read_text(path, "a log of scores", _REMEDY).splitlines())


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    """A new row begins where an epoch is named or a score comes again.

    A score whose name has no split is of the one that its line names last before it, else of the
    heading's above it, else of test.
    """
    row, heading = Row("line 1"), ""
    for number, line in enumerate(lines, start=1):
        if met := _EPOCH.search(line):
            yield row
            row, heading = Row(f"line {number}", met[1]), ""
        named = [(word.start(), word[1]) for word in _NAMED.finditer(line)]
        scores = list(_LINE.finditer(line))
        if named and not scores and _HEADING.fullmatch(line):
            heading = named[-1][1]
        for score in scores:
            before = [word for start, word in named if start < score.start()]
            split, order = _split(score[1] or (before[-1] if before else heading)), score[2]
            if order in row.scores.get(split, {}):
                yield row
                row = Row(f"line {number}", row.epoch)
            _add(row, split, order, score[3])
    yield row


def _split(name: str | None) -> str:
    return _SPLITS[name.lower()] if name else "test"


def _add(row: Row, split: str, order: str, printed: str) -> None:
    if printed.strip().lower() not in _LACKING:
        row.scores.setdefault(split, {})[order] = printed.strip()
