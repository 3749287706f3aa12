"""A PostgreSQL server of a test's own, of the programs that are installed."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def programs() -> Path:
    """The folder of initdb and the others; the test is skipped where there is none."""
    found = shutil.which("initdb")
    folders = (
        [Path(found).resolve().parent]
        if found
        else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    )
    if not folders:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return folders[-1]


def owner() -> dict[str, int]:
    """For `subprocess`: PostgreSQL does not run as root."""
    if os.geteuid():
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    return {"user": user.pw_uid, "group": user.pw_gid}


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database, with its password."""
    folder, as_owner, password = programs(), owner(), secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="rcan-postgresql-") as place:
        (Path(place) / "password").write_text(f"{password}\n", encoding="ascii")
        if as_owner:
            for path in (place, f"{place}/password"):
                os.chown(path, as_owner["user"], as_owner["group"])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]

        def run(*command: str) -> bool:
            done = subprocess.run(
                [str(folder / command[0]), *command[1:]], cwd=place, capture_output=True,
                env={**os.environ, "PGPASSWORD": password}, check=False, timeout=60, **as_owner,
            )  # fmt: skip
            return done.returncode == 0

        reached = ("-h", "127.0.0.1", "-p", str(port), "-U", "mlflow")
        assert run(
            "initdb", "-D", f"{place}/data", "-U", "mlflow", "--pwfile", f"{place}/password",
            "--auth", "scram-sha-256", "-E", "UTF8", "--locale", "C",
        )  # fmt: skip
        server = subprocess.Popen(
            [folder / "postgres", "-D", f"{place}/data", "-k", place, "-h", "127.0.0.1",
             "-p", str(port)],
            cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_owner,
        )  # fmt: skip
        try:
            for _ in range(300):
                if run("pg_isready", *reached):
                    break
                time.sleep(0.1)
            assert run("createdb", *reached, "mlflow")
            yield f"postgresql://mlflow:{password}@127.0.0.1:{port}/mlflow"
        finally:
            server.send_signal(signal.SIGINT)  # its clients are cut off
            server.wait(60)
