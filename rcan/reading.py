"""Reading files that may hold anything: what was asked for, or one `UserError`.

Its message names the file and the place in it, and ends with the remedy that the caller knows.
Nothing here runs code, waits for a pipe, or passes over what a file says twice; a value is told by
its kind, so that no word of a report gets into a message.
"""

import json
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import yaml

from rcan.errors import UserError, name_shown, reason_of

# A kind (float takes whole numbers too), a pattern, the least and the most that a number may be, or
# what an object or each item of a list holds.
Shape = (
    type | UnionType | re.Pattern[str] | tuple[float, float] | Mapping[str, "Shape"] | list["Shape"]
)

NAMES: dict[object, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false",
    dict: "an object", list: "a list", type(None): "nothing", dict | None: "an object or nothing",
    str | None: "a text or nothing", list | None: "a list or nothing",
}  # fmt: skip

MOST = 1e300  # a loss may be very large, but sums and differences of numbers must be finite


def require_file(path: Path) -> None:
    """Raise `OSError` unless `path` is a file: to open a pipe would be to wait for its writer."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")


def read_bytes(path: Path, what: str, remedy: str) -> bytes:
    """The contents of a file; `UserError` if it cannot be read."""
    try:
        require_file(path)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise UserError(f"{path}: expected {what} ({reason_of(error)}); {remedy}") from error


def read_text(path: Path, what: str, remedy: str) -> str:
    """The contents of a UTF-8 file, line breaks kept, no byte order mark; else `UserError`."""
    content = read_bytes(path, what, remedy)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected {what} in UTF-8 ({error}); {remedy}") from error


def read_json(path: Path, shape: Shape, what: str, remedy: str) -> Any:
    """A JSON file that holds at least what `shape` asks for."""
    return parse_json(read_text(path, what, remedy), shape, str(path), what, remedy)


def parse_json(text: str | bytes, shape: Shape, place: str, what: str, remedy: str) -> Any:
    """The value of a JSON text found at `place`; `UserError` if it is none or lacks something.

    Stricter than Python: no key twice, no NaN or infinity, no half of a surrogate pair, which
    could not be written again.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = _STRICT.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: expected {what} in JSON ({error}); {remedy}") from error
    require_shape(value, shape, place, remedy)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if abs(number) < MOST else _no_number("one out of range")


def _whole(digits: str) -> int:
    return int(digits) if len(digits) < 20 else int(_no_number("one of many digits"))


_STRICT = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite, parse_int=_whole
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def require_shape(value: Any, shape: Shape, place: str, remedy: str) -> None:
    """Raise `UserError` unless `value`, found at `place`, holds at least what `shape` asks for."""
    if isinstance(shape, Mapping):
        require_shape(value, dict, place, remedy)
        for key, inner in shape.items():
            if key not in value:
                raise UserError(f"{place}: expected {key!r}, found none; {remedy}")
            require_shape(value[key], inner, f"{place}, {key}", remedy)
    elif isinstance(shape, list):
        require_shape(value, list, place, remedy)
        for number, item in enumerate(value):
            require_shape(item, shape[0], f"{place}, item {number + 1}", remedy)
    elif isinstance(shape, re.Pattern):
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise UserError(f"{place}: expected a text like {shape.pattern}; {remedy}")
    elif isinstance(shape, tuple):
        require_shape(value, float, place, remedy)
        if not shape[0] <= value <= shape[1]:
            raise UserError(f"{place}: expected {shape[0]} to {shape[1]}, found {value}; {remedy}")
    elif not _is_a(value, shape):
        came = NAMES.get(type(value), type(value).__name__)
        raise UserError(f"{place}: expected {NAMES[shape]}, found {came}; {remedy}")


def _is_a(value: Any, kind: type | UnionType) -> bool:
    if isinstance(value, bool):  # Python's is a whole number, JSON's is not
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, kind)


def read_csv(
    path: Path, columns: Mapping[str, type], what: str, remedy: str, rest: type = str
) -> list[dict[str, str]]:
    """The rows of a table, at least one, each with a cell for every column of its header.

    `columns` must be there and hold values of their kind; of other columns a cell may be empty.
    What spreadsheets add is passed over: empty rows (which count in a row's number), empty cells
    past the header's last, and columns with neither a name nor a cell. `UserError` for a missing
    column or one twice, no row, a row of another length, a value of another kind.
    """
    text = read_text(path, what, remedy)
    try:
        all_rows = _cells(text)
    except ValueError as error:
        raise UserError(f"{path}, {error}; {remedy}") from error
    filled = [number for number, cells in enumerate(all_rows) if is_filled(cells)]
    header = all_rows[filled[0]] if filled else []
    rows = {number - filled[0]: all_rows[number] for number in filled[1:]}
    kept = [
        place
        for place, name in enumerate(header)
        if name.strip() or any(is_filled(cells[place : place + 1]) for cells in rows.values())
    ]
    names = [header[place] for place in kept]
    _check_header(names, columns, f"{path}", remedy)
    if not rows:
        raise UserError(f"{path}: expected {what}, found no row; {remedy}")
    found = []
    for number, cells in rows.items():
        place = f"{path}, row {number}"
        if len(cells) < len(header) or is_filled(cells[len(header) :]):
            raise UserError(f"{place}: expected {len(header)} cells, found {len(cells)}; {remedy}")
        row = {name: cells[column] for name, column in zip(names, kept, strict=True)}
        for name, cell in row.items():
            if name in columns or cell:
                _check_cell(cell, columns.get(name, rest), f"{place}, {name_shown(name)}", remedy)
        found.append(row)
    return found


# What tables write for a text they lack: pandas, spreadsheets, people.
MISSING = ("", "nan", "none", "null", "na", "n/a", "<na>", "#n/a")


def is_missing(text: str) -> bool:
    """Whether a cell holds no text, or a word that stands for none."""
    return text.strip().lower() in MISSING


def is_filled(cells: Sequence[str]) -> bool:
    """Whether a row of a table holds anything but blanks."""
    return any(cell.strip() for cell in cells)


# A cell and what ends it (RFC 4180). Python's own reader takes a lost quote for a letter, and the
# rest of the file for one cell.
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r\n|\r|\n|\Z)')


def _cells(text: str) -> list[list[str]]:
    """The rows of a table. Raises `ValueError` at the first quote that is out of place, and for a
    header whose names stand between other marks than commas."""
    first = text.lstrip("\r\n").partition("\n")[0]
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in first and "," not in first:
            raise ValueError(
                f"header: expected commas between cells, found {name}: save with commas"
            )
    rows: list[list[str]] = []
    row: list[str] = []
    place = 0
    while place < len(text) or row:
        cell = _CELL.match(text, place)
        if cell is None:
            line = len(re.findall(r"\r\n|\r|\n", text[:place])) + 1
            raise ValueError(f"line {line}: expected cells between commas, found a stray quote")
        quoted, plain, end = cell.groups()
        row.append(plain if quoted is None else quoted.replace('""', '"'))
        place = cell.end()
        if end != ",":
            rows.append(row)
            row = []
    return rows


def _check_header(header: list[str], columns: Mapping[str, type], place: str, remedy: str) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(
            f"{place}: expected the columns {' and '.join(columns)}, "
            f"found no {' and no '.join(missing)}; {remedy}"
        )
    if len(set(header)) < len(header):
        last = next(n for n, name in enumerate(header) if name in header[:n])
        raise UserError(
            f"{place}: expected every column once, found one twice (columns"
            f" {header.index(header[last]) + 1} and {last + 1}); {remedy}"
        )


def _check_cell(cell: str, kind: type, place: str, remedy: str) -> None:
    try:
        if kind is not str and not abs(kind(cell)) < MOST:
            raise ValueError
    except ValueError:
        raise UserError(f"{place}: expected {NAMES[kind]}, found another; {remedy}") from None


MOST_DEPTH = 20  # levels of YAML; params.yaml has three


class _Yaml(yaml.SafeLoader):
    """YAML 1.2 by PyYAML, which knows 1.1: `no` is a text, `1e-3` a number, `010` ten."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        named = (key for key, _ in node.value if not key.tag.endswith(":merge"))
        _once([(self.construct_object(key, deep=True), None) for key in named])
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: Any) -> int:
        digits = self.construct_scalar(node).replace("_", "")
        return int(digits, 0 if re.match("[-+]?0[box]", digits) else 10)


# As ruamel.yaml has them, by which DVC reads YAML: the two must find the same values.
_SCALARS = {
    "bool": "true|True|TRUE|false|False|FALSE",
    "float": r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "int": "[-+]?(?:0b[01_]+|0o[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+)",
}
_TAG = "tag:yaml.org,2002:"
_Yaml.yaml_implicit_resolvers = {
    first: [(tag, like) for tag, like in known if tag.removeprefix(_TAG) not in _SCALARS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _like in _SCALARS.items():
    _Yaml.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_like})$"), [*"tTfF-+.0123456789"])
_Yaml.add_constructor(f"{_TAG}int", _Yaml.construct_yaml_int)


def parse_yaml(text: str) -> Any:
    """The plain value of a YAML 1.2 text, as DVC reads it. Raises `ValueError` for what is none.

    No aliases: a few lines of them can stand for more than any memory holds.
    """
    depth = 0
    try:
        for event in yaml.parse(text, _Yaml):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise ValueError(f"more than {MOST_DEPTH} levels")
            if name := getattr(event, "anchor", None):
                raise ValueError(f"an alias or its anchor ({name}): write out what it stands for")
            if getattr(event, "version", None) not in (None, (1, 2)):
                raise ValueError("expected YAML 1.2, found another version")
        return yaml.load(text, _Yaml)
    except Exception as error:  # besides its own kinds also Python's: for a date that is none, say
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())) from error
