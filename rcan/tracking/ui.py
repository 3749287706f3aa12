"""MLflow's own interface, for whoever sits at this machine, as long as the command runs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from rcan.errors import UserError
from rcan.tracking.database import SQLITE, asked_uri, database_of
from rcan.tracking.experiment import view_link
from rcan.tracking.guard import without_password
from rcan.tracking.tracker import EXPERIMENT

HOST = "127.0.0.1"
PORT = 5000
STARTING, ENDING = 180.0, 10.0  # seconds that the server may take
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # processes for what nobody here does
}


def free_port(wanted: int | None) -> int:
    """The port asked for, or else the usual one, or else any that is free.

    Raises `UserError` if the one asked for cannot be had.
    """
    for port in (PORT, 0) if wanted is None else (wanted,):
        try:
            with socket.create_server((HOST, port)) as server:
                return int(server.getsockname()[1])
        except OSError as error:
            problem = os.strerror(error.errno or 0)
    raise UserError(f"port {wanted} cannot be had ({problem}): leave out --port for a free one")


def serve(root: Path, port: int, *, uri: str | None = None, quiet: bool = False) -> None:
    """Start MLflow's server, say where it is once it answers, and wait until Ctrl-C ends it.

    `uri`: which runs, if not those of `asked_uri`; a relative path is one in `root`. `quiet`:
    nothing but where it is.

    Raises:
        UserError: there is no run yet, or the server does not answer or ends by itself.
    """
    uri = uri or asked_uri()
    if uri.startswith(("http:", "https:")):
        print(f"MLFLOW_TRACKING_URI names a server: open {without_password(uri)}")
        return
    if not uri.startswith(SQLITE):
        raise UserError(
            f"MLFLOW_TRACKING_URI is {without_password(uri)}: expected a server (http) or a "
            f"database ({SQLITE}PATH) to show; change it, or use MLflow's own tools there"
        )
    if not (root / database_of(uri)).is_file():
        raise UserError(
            "MLflow holds no run yet: `dvc repro` trains one; `rcan ui --published` shows the "
            "published ones"
        )
    if not quiet:
        print("MLflow is starting: wait, it takes about half a minute", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job ignores Ctrl-C
            signal.signal(number, signal.default_int_handler)
        with _server(root, uri, port) as server:
            _wait(server, port, _log(root))
            for name, experiment_id in _experiments(port):
                link = view_link(experiment_id, "scores")
                print(f"{name}: http://{HOST}:{port}/{link}", flush=True)
            if not quiet:
                print("Ctrl-C ends it", flush=True)
            server.wait()
            raise _ended(server, _log(root))
    if not quiet:
        print("MLflow has ended")


def _log(root: Path) -> Path:
    return root / ".rcan" / "mlflow-ui.log"


@contextlib.contextmanager
def _server(root: Path, uri: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a process group of its own, which ends with the block.

    It runs in `root`, so that a relative path in `uri` is one there.
    """
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", HOST,
        "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    # MLFLOW_STATIC_PREFIX and the like are options of another server, maybe, and not of this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | QUIET
    _log(root).parent.mkdir(exist_ok=True)
    with _log(root).open("wb") as log:
        server = subprocess.Popen(
            command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield server
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(ENDING)


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return once the server answers."""
    end = time.monotonic() + STARTING
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError, HTTPException):
            _ask(port, "GET", "/health")
            return
        time.sleep(0.3)
    raise _ended(server, log)


def _ended(server: "subprocess.Popen[bytes]", log: Path) -> UserError:
    how = "does not answer" if server.poll() is None else f"ended by itself ({server.returncode})"
    return UserError(f"MLflow's server {how}: what it said is in {log}")


def _experiments(port: int) -> list[tuple[str, str]]:
    """Name and id of each experiment of this project."""
    found = json.loads(
        _ask(port, "POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1000})
    )
    return [
        (experiment["name"], experiment["experiment_id"])
        for experiment in found.get("experiments", [])
        if experiment["name"].startswith(EXPERIMENT)
    ]


def _ask(port: int, method: str, path: str, content: dict[str, Any] | None = None) -> bytes:
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(
            method, path, json.dumps(content or {}), {"Content-Type": "application/json"}
        )
        return connection.getresponse().read()
    finally:
        connection.close()
