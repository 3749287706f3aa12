"""A JSON file of long lists, one record at a time: R2Gen's annotation has 276,778 in one line."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from rcan.errors import UserError, name_shown, reason_of
from rcan.reading import parse_json, require_file

CHUNK = 1 << 16  # characters read at once
LONGEST = 1 << 22  # characters of one record; those of R2Gen have a few thousand
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def read_records(path: Path, lists: Sequence[str], remedy: str) -> Iterator[tuple[str, int, Any]]:
    """Yield list, number and record of each list that an object of `lists` holds, in file order.

    Memory holds one record, and each is read as `parse_json` reads it; what has another name is
    passed over. Raises UserError at the first that is damaged, and for a list that is missing.
    """
    met: set[str] = set()
    try:
        require_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = _Text(file)
            for name in text.names():
                if name in met:
                    raise ValueError(f"the key {name_shown(name)} stands twice")
                met.add(name)
                if name in lists and text.next_mark() != "[":
                    raise ValueError(f"expected a list under {name!r}, found another")
                for number, one in enumerate(text.values()):
                    if name in lists:
                        place = f"{path}, {name} record {number}"
                        yield name, number, parse_json(one, object, place, "one study", remedy)
            text.require_end()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: expected studies in JSON ({reason_of(error)}); {remedy}"
        ) from error
    for name in lists:
        if name not in met:
            raise UserError(f"{path}: expected {name!r}, found none; {remedy}")


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
            name = json.loads(self._value())
            if not isinstance(name, str):
                raise ValueError(f"expected a name {self._where()}")
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
        """Once for each item, which is to be read meanwhile; past the closing mark at last."""
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
                if len(self._part) - self._place > LONGEST or not self._more():
                    raise ValueError(f"expected a value {self._where()}") from None
                continue
            if end == len(self._part) and self._more():
                continue  # a number may go on
            text = self._part[self._place : end]
            self._place = end
            return text

    def _more(self) -> bool:
        """Read on; False at the end."""
        read = self._file.read(CHUNK)
        self._before += self._place
        self._part, self._place = self._part[self._place :] + read, 0
        return bool(read)

    def _where(self) -> str:
        return f"at character {self._before + self._place + 1}"
