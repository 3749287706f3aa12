"""Printed scores from tables and logs: rows of BLEU-1 to -4 of validation and test, as text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rcan.errors import UserError
from rcan.reading import is_missing, read_text
from rcan.scoring.texts import read_table

ORDERS = ("1", "2", "3", "4")
_SPLITS = {
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test",
    "train": "train", "training": "train", "validating": "val", "testing": "test",
}  # fmt: skip
_WORDS = "|".join(sorted(_SPLITS, key=len, reverse=True))
# test_BLEU_4, test_BLEU-4, test/bleu4, val BLEU@4; without a split it is taken for test.
_NAME = re.compile(rf"(?:({_WORDS})[\s_./-]*)?bleu[\s_@-]*([1-4])", re.IGNORECASE)
# Behind a name: `: `, or the bar before a row's last cell. The number may stand in calls, as
# np.float64(0.2393), and in lists of one.
_THEN = (
    r"[\"']?\s*(?:[:=]|[|│](?=[^|│]*[|│]?\s*$))\s*[\"']?"
    r"(?:(?:np\.|numpy\.)?[A-Za-z]\w*\(|\[\s*(?=[^][,]*\]))*"
)
# Of a log: a name as above and a number, `    val_BLEU_1     : 0.2393`, whatever stands before;
# also of Python's dicts and of JSON, `{'Bleu_1': [0.2393]}`, and `| BLEU_1 | 0.2393 |`.
_LINE = re.compile(
    rf"(?<![\w-]){_NAME.pattern}{_THEN}([0-9.]+(?:e[+-]?[0-9]+)?)(?![\w.])", re.IGNORECASE
)
# The same by short names, `B-1: 0.2393`, which may be anything: between 0 and 1, in capitals.
_SHORT = re.compile(
    rf"(?<![\w-])(?:(?i:({_WORDS}))[\s_./-]*)?B[-@]([1-4]){_THEN}(0?\.[0-9]+)(?![\w.])"
)
_EPOCH = re.compile(r"(?<![\w-])epoch[\"']?\s*[:=]?\s*([0-9]+)(?![\w.])", re.IGNORECASE)
# What a line says of a split, in no path and no other name: `Validation result: {...}`, `"val": {`;
# training as something that is done is no split of scores.
_SET = rf"(?:(?:best|final|mean)_)?({_WORDS})(?:[_-]?(?:set|split|scores?|results?|metrics?))?"
_DONE = (
    r"(?:after|before|during|end of|finished|start(?:ing|ed)?)\s+(?:the\s+)?training"
    r"|train(?:ing)?\s+(?:loss|time|epochs?|steps?|arg\w*|config\w*|options|settings|parameters"
    r"|took|finished|complete\w*|done|ended|started|is)"
)
_NAMED = re.compile(
    rf"(?<![\w./\\-])(?:(?:{_DONE})\b|{_SET}(?![\w/\\-]|\.\w)"
    rf"|(?P<both>(?:{_WORDS})(?:/(?:{_WORDS}))+)(?![\w/\\.-]))",
    re.IGNORECASE,
)  # fmt: skip
# `: {"` after a split, and `"split": "val"` of a dict on one line.
_LABEL = re.compile(
    r"[\"'\])]*(?:\s+(?:set|split|scores?|results?|metrics?))*\s*[:=|>-]*\s*([{\[(]*)[\"']?"
)
_KEY = re.compile(r"[\"']split[\"']\s*:\s*[\"']([^\"']*)[\"']", re.IGNORECASE)
# A heading ends in a mark, or is of these words alone, whatever a logger writes before it.
_MARKED = re.compile(r".*[^\W\d_].*[:{=#*-]\s*")
_PLAIN = re.compile(
    rf"(?=.*[^\W\d_])\W*(?:(?:results?|scores?|metrics?|performance|set|split|on|the|of|for|in|at"
    rf"|best|final|model|epoch|eval\w*|running|start\w*|\d+|{_SET})\b\W*)+",
    re.IGNORECASE,
)
_LOGGED = re.compile(
    r".*?\b(?:DEBUG|INFO|WARNING)\b[\]\s:|>-]*(?:[\w.]+(?::|\s+-\s)\s*)?"
    r"|[\[(]?\d[\d:.,/T -]*[\])]?\s+"
)
_LONGEST = 120  # characters of a heading
_DOUBT = "?"  # the split of scores that may be of more than one
_REMEDY = "give a table or log with columns such as test_BLEU_1 to test_BLEU_4"


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
        UserError: no such file, no UTF-8, a damaged table, no row with four scores of a split, or
            one whose split is in doubt.
    """
    if path.is_dir():
        raise UserError(f"{path}: expected a file of scores, found a folder; {_REMEDY}")
    rows = _of_table(path) if path.suffix.lower() == ".csv" else _of_text(path)
    found = []
    for row in rows:
        if row.vector(_DOUBT):
            raise UserError(
                f"{path}, {row.place} or below: expected one split named for the scores, found two"
                " or an unclear one; write it into the names of the scores, as in test_BLEU_1"
            )
        if row.vector("val") or row.vector("test"):
            found.append(row)
    if not found:
        raise UserError(f"{path}: expected rows with BLEU-1 to -4, found none; {_REMEDY}")
    return found


def _of_table(path: Path) -> Iterator[Row]:
    table = read_table(path, "rows of scores", _REMEDY)
    columns: dict[str, tuple[str, str]] = {}  # of a score -> its split, "" without one; its order
    for name in table[0]:
        if met := _NAME.fullmatch(name.strip()):
            columns[name] = (_split(met[1]) if met[1] else "", met[2])
    splits = [name for name in table[0] if name.strip().lower() == "split"]
    if len(set(columns.values())) < len(columns):
        raise UserError(f"{path}: expected every score in one column, found one in two; mend it")
    for number, cells in enumerate(table, start=1):
        row = Row(f"row {number}", cells.get("epoch") or cells.get("epochs") or "")
        of_row = _split_told(cells[splits[0]]) if splits else "test"
        for name, (split, order) in columns.items():
            _add(row, split or of_row, order, cells[name])
        yield row


def _of_text(path: Path) -> Iterator[Row]:
    lines = read_text(path, "a log of scores", _REMEDY).splitlines()
    # Where scores have their full names, a B-1 is something else or a score told twice.
    yield from _rows(lines, _LINE if any(map(_LINE.search, lines)) else _SHORT)


@dataclass
class _Above:
    """What stands above a line: the last heading, and the splits of the braces still open."""

    split: str = ""
    indent: int = 0
    scored: bool = False  # whether scores stood under it
    braces: list[str] = field(default_factory=list)

    def told(self) -> str:
        """The split of scores that name none."""
        return next(filter(None, reversed(self.braces)), self.split) or "test"

    def head(self, split: str, indent: int) -> None:
        """Take a heading; one without a split, deeper than the last, is a part of it."""
        if not split and self.split and indent > self.indent:
            return
        if not split and self.split not in ("", "test") and not self.scored:
            split = _DOUBT  # `Validation:`, then `Scores:` or `Final results:`: which of the two?
        self.split, self.indent, self.scored, self.braces = split, indent, False, []

    def count(self, line: str, split: str) -> None:
        """Open and close the braces of a line that names `split`."""
        for mark in line:
            if mark == "{":
                self.braces.append(split)
            elif mark == "}" and self.braces:
                self.braces.pop()


def _rows(lines: Iterable[str], form: re.Pattern[str]) -> Iterator[Row]:
    """A new row begins where an epoch is named or a score comes again.

    A score whose name has no split is of the one that its line names, else of the heading's above
    it, else of test; where a line or heading names two, it is in doubt.
    """
    row, above = Row("line 1"), _Above()
    for number, line in enumerate(lines, start=1):
        indent = len(line) - len(line.lstrip())
        scores = list(form.finditer(line))
        said = _one({split for _, split in _named(line)})
        if met := _EPOCH.search(line):
            yield row
            row = Row(f"line {number}", met[1])
            if not above.braces:
                above.head("", indent)
        if not scores and _is_heading(line):
            if not line.rstrip().endswith("{"):
                above.head(said, indent)
            elif not said and not above.braces:
                above.head("", indent)
        for score, split in zip(scores, _splits_in(line, scores), strict=True):
            split, order = split or above.told(), score[2]
            if order in row.scores.get(split, {}):
                yield row
                row = Row(f"line {number}", row.epoch)
            _add(row, split, order, score[3])
            above.scored = True
        above.count(line, said)
    yield row


def _named(line: str) -> list[tuple[re.Match[str], str]]:
    return [
        (word, _split(word[1]) if word[1] else _DOUBT)
        for word in _NAMED.finditer(line)
        if word[1] or word["both"]
    ]


def _one(splits: set[str]) -> str:
    return _DOUBT if len(splits) > 1 else "".join(splits)


def _is_heading(line: str) -> bool:
    if len(line.strip()) > _LONGEST:
        return False
    text = line[met.end() :] if (met := _LOGGED.match(line)) else line
    return bool(_MARKED.fullmatch(line) or _PLAIN.fullmatch(text))


def _splits_in(line: str, scores: list[re.Match[str]]) -> list[str]:
    """The split that a line names for each of its scores; "" for none."""
    named = _named(line)
    if line.count("{") == 1 and len(found := _KEY.findall(line)) == 1:
        of_line, labels = _split_told(found[0]), []
    else:
        of_line, labels = _one({split for _, split in named}), _labels(line, named, scores)
    return [
        _split(score[1])
        if score[1]
        else next((split for here, split in labels if score.start() in here), of_line)
        for score in scores
    ]


def _labels(
    line: str, named: list[tuple[re.Match[str], str]], scores: list[re.Match[str]]
) -> list[tuple[range, str]]:
    """The places of a line that a split right before them is for, as `'val': {` is: until its brace
    closes or the next split is named."""
    starts, ends = {met.start() for met in scores}, {met.end() for met in scores}
    others = {word.end() for word, _ in named}
    found = []
    stops = [*(word.start() for word, _ in named), len(line)][1:]
    for (word, split), stop in zip(named, stops, strict=True):
        bare = line[: word.start()].rstrip(" \t\"'")
        quoted = line[: word.start()].endswith(("'", '"'))
        first = not bare or bare.endswith(tuple("{[(,;|}])")) or len(bare) in ends
        first = first and len(bare.rstrip(", ")) not in others  # `Validation, test: {`
        label = _LABEL.match(line, word.end())
        if word.start() in starts:
            found.append((range(word.start(), stop), split))
        elif label and (first or quoted) and (label[1] or label.end() in starts):
            end = _closing(line, label.start(1), stop) if label[1] else stop
            found.append((range(word.start(), end), split))
    return found


def _closing(line: str, start: int, stop: int) -> int:
    """Where the bracket at `start` closes, before `stop`."""
    depth = 0
    for place in range(start, stop):
        depth += (line[place] in "{[(") - (line[place] in ")]}")
        if depth == 0:
            return place
    return stop


def _split(name: str) -> str:
    return _SPLITS[name.lower()]


def _split_told(text: str) -> str:
    """The split that a cell or key of that name holds."""
    if is_missing(text):
        return "test"
    known = _NAMED.fullmatch(text.strip())
    return _split(known[1]) if known and known[1] else _DOUBT


def _add(row: Row, split: str, order: str, printed: str) -> None:
    if not (is_missing(printed) or printed.strip() == "-"):
        row.scores.setdefault(split, {})[order] = printed.strip()
