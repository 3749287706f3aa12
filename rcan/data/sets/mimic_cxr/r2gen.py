"""R2Gen's folder: `annotation.json`, one record an image, and `images/p10/p.../s.../*.jpg`.

The annotation has 276,778 records in one line: it is read a record at a time. Libraries that can do
so (ijson) quote reports in their errors, pass over a key that stands twice, and read a value
without an end into memory.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm import tqdm

from rcan.data.raw import Problems
from rcan.data.sets.mimic_cxr.catalogue import Catalogue, find_picture, image_folders
from rcan.data.store import SPLITS
from rcan.errors import NamesNobodyError, UserError, reason_of
from rcan.reading import parse_json, require_file

NAME = "R2Gen"
LOOKS_LIKE = "annotation.json with images/p10/p.../s.../*.jpg"
_REMEDY = "use R2Gen's own annotation.json of MIMIC-CXR"
CHUNK = 1 << 16  # characters read at once
LONGEST = 1 << 22  # characters of any value, more or less; R2Gen's records have a few thousand
_SPACE = re.compile(r"[ \t\r\n]*")
_GOES_ON = ("", *"+-.eE0123456789")  # after what was taken for a whole number
_DECODER = json.JSONDecoder()


def has_reports(root: Path) -> bool:
    return (root / "annotation.json").is_file()


def read(root: Path, database: sqlite3.Connection) -> tuple[Catalogue, Problems]:
    """A study a record, in the order of splits and the file's, with its first image as R2Gen reads.

    Raises UserError for a damaged annotation or an image path that leads out of the image folder.
    """
    path = root / "annotation.json"
    problems, catalogue, folders = Problems(), Catalogue(database), image_folders(root)
    database.execute("create table annotated (study text primary key) without rowid")
    with tqdm(desc="read studies", unit="study", disable=None) as bar:
        for split in SPLITS:
            for number, record in read_records(path, split, _REMEDY):
                _check(record, f"{path}, {split} record {number}")
                if record.get("split", split) != split:
                    problems.add("split_differs", record["id"])
                annotated = "insert or ignore into annotated values (?)"
                if not database.execute(annotated, (str(record["study_id"]),)).rowcount:
                    problems.add("report_of_another_image", record["id"])
                if len(record["image_path"]) > 1:
                    problems.add("image_surplus", record["id"])
                first = PurePosixPath(record["image_path"][0])
                stem = str(first.with_suffix(""))
                picture = find_picture(folders, stem, first.stem, None, ending=first.suffix)
                catalogue.add(
                    record["id"], split, record["report"], [picture], None,
                    str(record["subject_id"]),
                )  # fmt: skip
                bar.update()
    return catalogue, problems


def _check(record: dict[str, Any], where: str) -> None:
    for key, kind, what in (
        ("id", str, "text"), ("report", str, "text"), ("study_id", int | str, "a number or text"),
        ("subject_id", int | str, "a number or text"), ("image_path", list, "a list"),
    ):  # fmt: skip
        if not isinstance(record.get(key), kind):
            raise NamesNobodyError(f"{where}: expected {what} under {key!r}; {_REMEDY}")
    names = record["image_path"]
    if not names or not all(isinstance(name, str) and _is_inside(name) for name in names):
        raise NamesNobodyError(f"{where}: expected image paths inside the image folder; {_REMEDY}")


def _is_inside(name: str) -> bool:
    # Checked as written, so that a user's own links inside the folder still work.
    parts = PurePosixPath(name.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and bool(parts.name)


def read_records(path: Path, name: str, remedy: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and record of the list `name` that an object holds.

    Memory holds one record, and each is read as `parse_json` reads it; all else in the file is
    passed over. Raises UserError for a record that is damaged, NamesNobodyError where the file is
    no JSON or has no such list.
    """
    met: set[str] = set()
    try:
        require_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = _Text(file)
            for found in text.names():
                if found in met:
                    raise ValueError("a key stands twice")
                met.add(found)
                if found == name and text.next_mark() != "[":
                    raise ValueError(f"expected a list under {name!r}, found another")
                for number, one in enumerate(text.values()):
                    if found == name:
                        place = f"{path}, {name} record {number}"
                        if not one.startswith("{"):
                            raise NamesNobodyError(
                                f"{place}: expected an object, found another; {remedy}"
                            )
                        yield number, parse_json(one, dict, place, "one study", remedy)
            text.require_end()
    except UserError:
        raise
    except OSError as error:
        raise NamesNobodyError(
            f"{path}: expected studies ({reason_of(error)}); make it readable and run again"
        ) from error
    except ValueError as error:
        reason = "no UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise NamesNobodyError(f"{path}: expected studies in JSON ({reason}); {remedy}") from error
    if name not in met:
        raise NamesNobodyError(f"{path}: expected {name!r}, found none; {remedy}")


class _Text:
    """A JSON text, of which memory holds the part that is read now.

    All raise `ValueError`, without a word of the text, where it is no JSON.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._part = ""
        self._place = 0  # in the part
        self._before = 0  # characters before the part

    def names(self) -> Iterator[str]:
        """The names of an object, each before its value is read."""
        self._expect("{")
        for _ in self._items("}"):
            if self.next_mark() != '"':
                raise ValueError(f"expected a name {self._where()}")
            name = json.loads(self._value())
            self._expect(":")
            yield name

    def values(self) -> Iterator[str]:
        """The text of each value of a list, or of one value that is no list."""
        if self.next_mark() != "[":
            yield self._value()
            return
        self._expect("[")
        for _ in self._items("]"):
            yield self._value()

    def next_mark(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._part, self._place)
            self._place = space.end() if space else self._place
            if self._place < len(self._part):
                return self._part[self._place]
            if not self._more():
                return ""

    def require_end(self) -> None:
        if self.next_mark():
            raise ValueError(f"expected no more {self._where()}")

    def _items(self, closing: str) -> Iterator[None]:
        """Yield before each item, which the caller reads, then pass the closing mark."""
        if self.next_mark() != closing:
            yield
            while self.next_mark() == ",":
                self._place += 1
                yield
        self._expect(closing)

    def _expect(self, mark: str) -> None:
        if self.next_mark() != mark:
            raise ValueError(f"expected {mark!r} {self._where()}")
        self._place += 1

    def _value(self) -> str:
        """The text of the next value."""
        self.next_mark()
        while True:
            try:
                _, end = _DECODER.raw_decode(self._part, self._place)
            except (json.JSONDecodeError, RecursionError):
                if not self._can_go_on():
                    raise ValueError(f"expected a value {self._where()}") from None
                continue
            is_number = self._part[self._place] in "-0123456789"
            if is_number and self._part[end : end + 1] in _GOES_ON and self._can_go_on():
                continue
            text = self._part[self._place : end]
            self._place = end
            return text

    def _can_go_on(self) -> bool:
        """Whether a value may be longer and is: then more of it is there now."""
        return len(self._part) - self._place <= LONGEST and self._more()

    def _more(self) -> bool:
        """Read on, more each time the same value asks for it; False at the end."""
        read = self._file.read(max(CHUNK, len(self._part) - self._place))
        if not read:
            return False
        self._before += self._place
        self._part, self._place = self._part[self._place :] + read, 0
        return True

    def _where(self) -> str:
        return f"at character {self._before + self._place + 1}"
