"""Bad input for every reader, and the two things that may come of it: what is right, or one line.

A case is made by Hypothesis (seeded) or is one of a handmade corpus; `attempt` reads it as the
project does and lets nothing through but a value, which the test then checks, or one clear error.
"""

import copy
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rcan.errors import UserError

T = TypeVar("T")
SECONDS = 20  # no reader of these small files may take longer

# A message ends with what to do: a clause that begins with one of these, or says what is allowed.
VERBS = (
    "add", "check", "complete", "convert", "delete", "did you mean",
    "expected imagenet, none, or the path", "fetch", "free", "have it", "it must", "known",
    "look", "lower", "make", "mend", "name", "replace", "run", "save", "set", "use", "wait",
)  # fmt: skip
ALLOWED = re.compile(
    r"\bmust be (at most|a multiple|even|a section of keys)\b|\bis for (iu_xray|kept)\b|: use \w+$"
)


def seeded(examples: int) -> settings:
    """So many cases, the same ones each time."""
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip


class Hang(BaseException):
    """A reader took too long."""


@contextmanager
def in_time() -> Iterator[None]:
    """Ends the block with `Hang` when it lasts too long, also while it waits for a pipe."""

    def stop(*_: object) -> None:
        raise Hang(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(read: Callable[[], T], *names: str) -> T | None:
    """What `read` gives, or None after one clear error that holds all of `names`."""
    try:
        with in_time():
            return read()
    except UserError as error:
        check_message(str(error), *names)
        return None


def check_message(message: str, *names: str) -> None:
    """One line that a terminal can show, with file, record and remedy."""
    assert message.isprintable(), repr(message)
    assert all(name in message for name in names), (names, message)
    assert len(message) < 2_000, message
    clauses = [clause.strip() for clause in re.split(r"[;:?] ", message)]
    told = any(clause.startswith(VERBS) for clause in clauses[1:])
    assert told or ALLOWED.search(message), f"no remedy: {message}"


class Code:
    """Unpickled, it makes a folder: the mark of code that a file brought."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


# A file to be damaged: a row of the table in test_bad_input.py


@dataclass
class Fuzz:
    """Cases that Hypothesis makes: how many in short and in long, and what tries one of them: what
    came of it, or None if no file could hold it. By default a case is the content of the file.

    `good`: some cases are still read whole; `bad`: some are not.
    """

    cases: st.SearchStrategy
    tries: tuple[int, int]
    attempt: Callable[[Any], Any] | None = None
    good: bool = True
    bad: bool = True


@dataclass
class Sample:
    """A sound file `path` of a format, in a folder of its own, and what may be done to it.

    `read` gives whether it was read (`whole`, if so and nothing is amiss), after it has checked
    what came out; its arguments are what a message must hold besides: `told`, or what comes with
    one of the `wrong` contents.
    `absent`: of INSTEAD, what is no fault but a file that is not there, which `missing` checks.
    """

    kind: str
    path: Path
    read: Callable[..., Any]
    fuzz: Iterable[Fuzz] = ()
    wrong: Iterable[bytes | str | tuple[str, str]] = ()
    right: Iterable[bytes] = ()
    told: tuple[str, ...] = ()
    whole: Any = True
    absent: tuple[str, ...] = ()
    missing: Callable[[], None] | None = None
    files: dict[Path, bytes] = field(init=False)

    def __post_init__(self) -> None:
        folder = self.path.parent
        self.files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def restore(self) -> None:
        """All files of the folder as they were."""
        for path, content in self.files.items():
            remove(path)
            path.write_bytes(content)

    def try_all(self, fuzz: Fuzz, examples: int) -> int:
        """Try so many cases; the number that a file could hold."""
        counted: Counter = Counter()

        def write_and_read(content: bytes) -> Any:
            self.path.write_bytes(content)
            return self.read()

        @seeded(examples)
        @given(fuzz.cases)
        def of_cases(case):
            counted[(fuzz.attempt or write_and_read)(case)] += 1

        of_cases()
        del counted[None]
        assert not fuzz.good or counted[self.whole], counted
        assert not fuzz.bad or counted.total() > counted[self.whole], counted
        return counted.total()


# Bytes


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """`content` with one to four places changed, cut off, left out, filled in or doubled."""
    edit = st.tuples(
        st.sampled_from(("change", "change", "cut", "drop", "add", "double")),
        st.integers(0, max(0, len(content) - 1)),
        st.integers(1, 40),
        st.binary(min_size=1, max_size=8),
    )
    return st.lists(edit, min_size=1, max_size=4).map(partial(_edited, content))


def _edited(content: bytes, edits: list[tuple[str, int, int, bytes]]) -> bytes:
    for kind, place, length, new in edits:
        before, there, after = (
            content[:place], content[place : place + length], content[place + length :],
        )  # fmt: skip
        content = {
            "change": before + new[: len(there)] + content[place + len(new) :],
            "cut": before,
            "drop": before + after,
            "add": before + new + content[place:],
            "double": before + there + content[place:],
        }[kind]
    return content


# Every reader is given these too, in place of its file.
GARBAGE = [
    b"", b"\n", b"\0" * 100, b"\xff\xfe\xfd", b"\xef\xbb\xbf", "{}".encode("utf-16"), b"PK\x03\x04",
    b"\x80\x04}\x94.", b"\x1f\x8b\x08\0", b"[" * 200_000, b'{"a":' * 100_000, b"- " * 50_000,
    b"<a>" * 50_000, b'"' * 1_001, b"%PDF-1.4", b"0" * 5_000, b"\x93NUMPY", b"NaN", b"null", b"[]",
    b"{}", b'"text"', b"1e999", b"-", b"\r\r\n", b"\xed\xa0\x80",
]  # fmt: skip


# JSON and YAML values

NASTY = [
    None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, 10**18, 10**30, "", " ", "x", "\0", "1",
    "null", "../../etc/passwd", "/etc/passwd", "a\\..\\b", "CON", "ä心🫁", "\ud800", "\u202eabc",
    "a\nb", "a" * 300, "x" * 200_000, ".", "~", "~nobody-here/x", [], [[]], [None], ["a"], [0], {},
    {"": {}}, {"a": 1}, [{}], [1, "a", None],
]  # fmt: skip


KEYS = st.sampled_from(("", "extra", "id", "\0", "a" * 300))


def edited(value: Any, keys: st.SearchStrategy[str] = KEYS) -> st.SearchStrategy[Any]:
    """A JSON value with one or two of its parts replaced, left out, doubled, renamed or moved."""
    edit = st.tuples(
        st.sampled_from(("replace", "replace", "replace", "delete", "double", "rename", "take")),
        st.integers(0, 10**6),
        st.sampled_from(NASTY),
        keys,
        st.integers(0, 10**6),
    )
    return st.lists(edit, min_size=1, max_size=2).map(partial(_reshaped, value))


def _reshaped(value: Any, edits: list[tuple[str, int, Any, str, int]]) -> Any:
    value = copy.deepcopy(value)
    for kind, number, new, name, other in edits:
        places = list(_places(value))
        if not places:
            return new
        holder, key = places[number % len(places)]
        if kind == "replace":
            holder[key] = copy.deepcopy(new)
        elif kind == "delete":
            del holder[key]
        elif kind == "take":  # the value of another place
            far, far_key = places[other % len(places)]
            holder[key] = copy.deepcopy(far[far_key])
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == "rename":
            holder[name] = holder.pop(key)
        else:
            holder[name] = copy.deepcopy(holder[key])
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a value, as (what holds it, its key there)."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])


# What may lie where a file should


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _pickled(path: Path) -> None:
    import pickle

    path.write_bytes(pickle.dumps({"a": Code(path.with_name("ran"))}))


INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a loop of links": _loop,
    "a link to nowhere": lambda path: path.symlink_to("gone"),
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "pickled code": _pickled,
}
if os.geteuid():  # who administers the machine may read everything
    INSTEAD["a file that may not be read"] = lambda path: (path.write_bytes(b"{}"), path.chmod(0))


def put(path: Path, instead: str) -> None:
    """Put something else in the place of a file."""
    remove(path)
    INSTEAD[instead](path)


def remove(path: Path) -> None:
    """Make room for the next case."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
