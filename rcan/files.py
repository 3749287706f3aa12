"""Writing files so that a reader never meets half of one, and digests of what was written."""

import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rcan.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file to, which takes the place of `path` when the block ends.

    A reader never meets half a file, and after a failure there is what was there before. A process
    killed meanwhile leaves its file beside; the next one removes it.
    """
    beside = place_beside(path)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if error.errno and not error.filename:  # a failed write does not say of what
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def place_beside(path: Path) -> Path:
    """Where this process alone may write what is to replace `path`, a file or a folder.

    What a killed process left there is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    host = os.uname().nodename  # a process number means something on its own machine alone
    for left in path.parent.glob(f".{glob.escape(f'{path.name}.{host}')}.*.tmp"):
        if not _is_running(left.suffixes[-2].removeprefix(".")):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{host}.{os.getpid()}.tmp")


def holder_of(lock: Path) -> int | None:
    """The process that holds a lock of `exclusive`, told without touching it; None if none does."""
    pid = _pid_in(lock)
    return int(pid) if pid and _is_running(pid) else None


def _pid_in(lock: Path) -> str | None:
    try:
        pid = lock.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return pid if re.fullmatch("[1-9][0-9]{0,9}", pid) else None


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write `value` as readable JSON with sorted keys, so that equal content is an equal file."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write `rows` as CSV with a header; columns in the order of the first row."""
    columns = list(rows[0])
    lines: list[list[object]] = [[*columns]]
    for row in rows:
        if row.keys() != rows[0].keys():
            raise ValueError(f"a row has other columns: {', '.join(row.keys() ^ rows[0].keys())}")
        lines.append([row[column] for column in columns])
    write_text(path, "".join(",".join(map(_cell, line)) + "\n" for line in lines))


def _cell(value: object) -> str:
    """A cell, quoted where need be: Python's own writer forgets the line break of old Macs."""
    text = "" if value is None else str(value)
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


@contextmanager
def exclusive(lock: Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Hold `lock`, a file made for it, while the block runs; a process that dies lets go of it.

    If another process holds it: wait, saying so, or raise `UserError` that it is already `doing`.
    """
    from filelock import FileLock, Timeout

    held, timeout = FileLock(lock), 0
    while not held.is_locked:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout)
        except FileNotFoundError:
            continue  # its holder finished and removed the folder
        except Timeout:
            pid = _pid_in(lock) or "unknown"
            if not wait:
                raise UserError(
                    f"process {pid} is already {doing}: wait for it, or stop it (kill {pid}); "
                    "the next run continues where it stopped"
                ) from None
            print(f"waiting for process {pid}, which is {doing}", flush=True)
            timeout = -1  # without end
    try:
        with suppress(OSError):  # on a full disk its holder stays unknown
            lock.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        held.release()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: object) -> str:
    """32 hex digits that name a JSON-like value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
