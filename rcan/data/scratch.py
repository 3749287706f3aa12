"""A place on disk for what one process has to remember of more studies than memory would hold."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rcan.errors import UserError
from rcan.files import place_beside

CACHE = 8  # MiB of a database that memory holds at most


def scratch(folder: Path | None = None) -> sqlite3.Connection:
    """An empty database in a file of `folder`, by default where the system keeps such files.

    The file has no name any more when this returns: no other process can open it, and it is gone
    when it is closed or the process killed. Raises UserError when it cannot be written.
    """
    folder = (folder or Path(tempfile.gettempdir())).absolute()
    with scratch_trouble(folder):
        try:
            path = place_beside(folder / "scratch")
        except OSError as error:
            raise sqlite3.OperationalError(error.strerror) from error
        # Nobody else can reach it, and nothing is to be undone: neither locks nor a journal.
        database = sqlite3.connect(f"{path.as_uri()}?vfs=unix-none", uri=True, isolation_level=None)
        try:
            for setting in ("journal_mode = off", "synchronous = off", "temp_store = memory"):
                database.execute(f"pragma {setting}")
            database.execute(f"pragma cache_size = {-1024 * CACHE}")
            database.execute("pragma user_version = 1")  # the file is made with the first write
            database.execute("begin")  # which never ends: to commit each row would be slow
        except sqlite3.Error:
            database.close()
            raise
        finally:
            path.unlink(missing_ok=True)
    return database


@contextmanager
def scratch_trouble(folder: Path) -> Iterator[None]:
    """Make one `UserError` of what befalls a scratch database in `folder`."""
    try:
        yield
    except sqlite3.Error as error:
        raise UserError(
            f"{folder}: expected to keep there what is read until it is sorted, got "
            f"{str(error)!r}; free some space or make it writable, and run again: what is packed "
            "is kept"
        ) from error
