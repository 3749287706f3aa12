"""Standard input, output and errors of commands and stages, whatever they are connected to."""

import codecs
import io
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

READER_GONE = 128 + signal.SIGPIPE  # what a shell says of a program that a closed pipe ended


@contextmanager
def standard_streams() -> Iterator[None]:
    """Have what is printed within reach its reader, or nobody, without a traceback.

    A closed stream is one to nowhere, so that no file that is opened later takes its number and
    gets what is printed. A character that standard output cannot hold is a question mark; a byte
    of a file's name that is no UTF-8 is shown as `\\udce9`.

    Raises:
        SystemExit: 141, as other programs end: the reader of a pipe has gone (`| head -1`).
        OSError: what was printed cannot be written, as on a full disk.
    """
    _open_closed()
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        codecs.register_error("shown", _shown)
        out.reconfigure(errors="shown")
    try:
        try:
            yield
        finally:  # here, for at its own end Python can but complain
            out.flush()
    except BaseException as error:
        # Typer makes an exit with 1 of a broken pipe.
        broken = any(isinstance(one, BrokenPipeError) for one in (error, error.__context__))
        gone = broken and _has_no_reader(out)
        if gone or isinstance(error, OSError):
            _drop(out)
        if gone:
            raise SystemExit(READER_GONE) from None
        raise


def escaped(text: str) -> str:
    """A text that UTF-8 holds: a byte of a file's name that is none is told as `\\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _has_no_reader(out: TextIO) -> bool:
    asked = select.poll()
    asked.register(out.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))


def _drop(out: TextIO) -> None:
    """Have what is still to be written go nowhere, if it can go no further."""
    try:
        out.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _open_closed() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the least that is free
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)


def _shown(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    told = (escaped(one) if "\ud800" <= one <= "\udfff" else "?" for one in lacking)
    return "".join(told), error.end
