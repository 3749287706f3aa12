"""A place on disk for what one process has to remember of more studies than memory would hold."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rcan.errors import NamesNobodyError
from rcan.files import place_beside

CACHE = 8  # MiB of a database that memory holds at most


class DiskError(NamesNobodyError):
    """The disk's trouble, not the data's."""


# What SQLite calls a full, failing or unwritable disk, and a file that is no longer what it wrote.
_OF_THE_DISK = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
}  # fmt: skip


@contextmanager
def temporary_database(folder: Path) -> Iterator[sqlite3.Connection]:
    """An empty database in `folder` that is gone with the block, or with the process if killed.

    Its file has no name while it is in use, so that on a local disk no other process can open it.
    Raises DiskError when the database cannot be written, in the block as well.
    """
    try:
        path = place_beside(folder.absolute() / "database")
    except OSError as error:
        raise _trouble(folder, error.strerror or str(error)) from error
    try:
        # Nobody else can reach it, and nothing is to be undone: neither locks nor a journal, with
        # which SQLite would refuse a file that has lost its name.
        with closing(
            sqlite3.connect(f"{path.as_uri()}?vfs=unix-none", uri=True, isolation_level=None)
        ) as database:
            try:
                for setting in ("journal_mode = off", "synchronous = off", "temp_store = memory"):
                    database.execute(f"pragma {setting}")
                database.execute(f"pragma cache_size = {-1024 * CACHE}")
                database.execute("begin")  # which never ends: to commit each row would be slow
            finally:
                path.unlink(missing_ok=True)
            yield database
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _OF_THE_DISK:
            raise
        raise _trouble(folder, str(error)) from error


def _trouble(folder: Path, reason: str) -> DiskError:
    return DiskError(
        f"{folder}: expected to keep there what is read until it is sorted, got {reason!r}; free "
        "some space or make it writable, and run again"
    )
