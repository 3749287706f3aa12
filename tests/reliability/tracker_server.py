"""A tracking server, and troubles between it and its clients, one request at a time."""

import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_SECONDS = 60


class Proxy:
    """Passes requests on to `upstream`, in the way that `trouble` says for each; counts them.

    `trouble(number)` gives a function of this module that handles a request. Use as a context
    manager; at its end nothing that was held back is still to come.
    """

    def __init__(self, upstream: Callable[[], str]):
        self.upstream = upstream
        self.trouble: Callable[[int], Callable] = lambda number: forward
        self.ended = threading.Event()
        self.late: list[threading.Thread] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy, self._server.count = self, 0
        self.uri = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def trouble_from(self, first: int, handle: Callable, *, until: int = 10**9) -> None:
        """From the request `first` on, counted from now, before `until`: handle them so."""
        begin = self._server.count
        self.trouble = lambda n: handle if first <= n - begin < until else forward

    def settle(self) -> None:
        """Wait for the requests that are on their way although their client gave up."""
        for thread in self.late:
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        number = self.server.count
        self.server.count += 1
        try:
            self.server.proxy.trouble(number)(self)
        except (OSError, http.client.HTTPException):  # the client has gone, or the server has
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass

    def fetch(self) -> tuple[int, str, bytes]:
        """What the server itself answers: status, content type, content."""
        place = urlsplit(self.server.proxy.upstream())
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=ANSWER_SECONDS)
        kept = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
        connection.request(self.command, self.path, self.body, kept)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers.get("Content-Type", ""), content

    def answer(self, status: int, kind: str, content: bytes, share: float = 1.0) -> None:
        """Answer, with this share of the content that is announced."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: int(len(content) * share)])
        self.wfile.flush()


def forward(request: _Handler) -> None:
    """No trouble."""
    request.answer(*request.fetch())


def refuse(request: _Handler) -> None:
    """The server is overloaded or starting."""
    request.answer(503, "text/plain", b"try again later")


def forbid(request: _Handler) -> None:
    """The server wants a password."""
    request.answer(401, "text/plain", b"who are you?")


def login_page(request: _Handler) -> None:
    """Something else answers, as in a hotel."""
    request.answer(200, "text/html", b"<html>Please log in</html>")


def cut(request: _Handler) -> None:
    """The connection breaks before the request arrives."""
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def lose_answer(request: _Handler) -> None:
    """The request is recorded, and the connection breaks before its answer."""
    request.fetch()
    cut(request)


def halve_answer(request: _Handler) -> None:
    """The request is recorded, and the connection breaks amid its answer."""
    request.answer(*request.fetch(), share=0.5)
    cut(request)


def hang(request: _Handler) -> None:
    """The server never answers."""
    request.server.proxy.ended.wait()
    cut(request)


def slow(seconds: float) -> Callable:
    """Every answer takes this long."""

    def handle(request: _Handler) -> None:
        time.sleep(seconds)
        forward(request)

    return handle


def late(wait: Callable[[], object], of: bytes = b"") -> Callable:
    """The request is recorded when `wait()` is over; its client has given up by then.

    Only requests with the word `of` in them, if one is given.
    """

    def handle(request: _Handler) -> None:
        if of not in request.body:
            return forward(request)

        def record() -> None:
            wait()
            request.fetch()

        thread = threading.Thread(target=record)
        request.server.proxy.late.append(thread)
        thread.start()
        return hang(request)

    return handle


@contextmanager
def served_here(database: Path) -> Iterator[str]:
    """MLflow's own server code in a thread of this process, over a database; gives its address."""
    from mlflow.server import app, handlers
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    handlers._tracking_store = handlers._artifact_repo = None
    handlers._get_tracking_store(f"sqlite:///{database}", str(database.parent / "artifacts"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    handlers._tracking_store = None


class Served:
    """`mlflow server` over a database and a folder: a process to kill and start again.

    A context manager.
    """

    def __init__(self, store: str, artifacts: Path):
        self._store, self._artifacts = store, artifacts
        self._process: subprocess.Popen | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "Served":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1",
             "--backend-store-uri", self._store,
             "--artifacts-destination", str(self._artifacts)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
        self.kill()
        raise TimeoutError("mlflow server did not start")

    def kill(self) -> None:
        """End it and all its processes without a word."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
