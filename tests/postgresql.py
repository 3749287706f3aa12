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
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    folders = [Path(found).resolve().parent] if found else [path.parent for path in debian]
    if not folders:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return max(folders, key=lambda folder: folder.stat().st_mtime)


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
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    environment["PGPASSWORD"] = password
    with tempfile.TemporaryDirectory(prefix="rcan-postgresql-") as place:
        (Path(place) / "password").write_text(f"{password}\n", encoding="ascii")
        if as_owner:
            for path in (place, f"{place}/password"):
                os.chown(path, as_owner["user"], as_owner["group"])

        def run(*command: str) -> subprocess.CompletedProcess:
            return subprocess.run(
                [str(folder / command[0]), *command[1:]], cwd=place, env=environment, text=True,
                capture_output=True, check=False, timeout=60, **as_owner,
            )  # fmt: skip

        made = run(
            "initdb", "-D", f"{place}/data", "-U", "mlflow", "--pwfile", f"{place}/password",
            "--auth", "scram-sha-256", "-E", "UTF8", "--locale", "C",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        reached = ("-h", "127.0.0.1", "-p", str(port), "-U", "mlflow")
        with (Path(place) / "log").open("wb") as log:
            server = subprocess.Popen(
                [folder / "postgres", "-D", f"{place}/data", "-k", "", "-h", "127.0.0.1",
                 "-p", str(port)],
                cwd=place, env=environment, stdout=log, stderr=log, **as_owner,
            )  # fmt: skip
        try:
            for _ in range(300):
                if server.poll() is not None or run("pg_isready", *reached).returncode == 0:
                    break
                time.sleep(0.1)
            made = run("createdb", *reached, "mlflow")
            assert made.returncode == 0, made.stderr + (Path(place) / "log").read_text()
            yield f"postgresql+psycopg://mlflow:{password}@127.0.0.1:{port}/mlflow"
        finally:
            server.send_signal(signal.SIGINT)  # its clients are cut off
            try:
                server.wait(60)
            finally:
                server.kill()
                server.wait()
