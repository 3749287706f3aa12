"""Runs stages in forks of a process that has already loaded everything, so that a run costs what
the stage itself costs, and ends some of them by SIGKILL before a given file operation.

As a program it is that process; `Zygote` starts one and talks to it.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STAGES = ("preprocess", "tokenizer", "floors", "train", "evaluate", "report")
# What Python says before it touches a file (see sys.addaudithook).
TOUCHING = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod",
    "os.utime", "fcntl.flock", "shutil.rmtree", "shutil.move", "shutil.copyfile",
}  # fmt: skip


MOST_SECONDS = 300  # of one run


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code or minus a signal, what it printed, its file operations."""

    code: int
    printed: str
    touched: int

    def error(self) -> str | None:
        """The one line with which it ended, with exit code 1; None if it went through."""
        lines = [line for line in self.printed.splitlines() if line.startswith("error:")]
        assert "Traceback" not in self.printed, self.printed
        assert (self.code, len(lines)) in ((0, 0), (1, 1)), self.printed
        return lines[0] if lines else None


class Zygote:
    """A loaded process that runs one stage at a time; use as a context manager.

    `within` is a command that runs it, e.g. `unshare`.
    """

    def __init__(self, *within: str) -> None:
        top = Path(__file__).resolve().parents[2]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC", "MLFLOW", "RCAN"))}
        self._process = subprocess.Popen(
            [*within, sys.executable, __file__], cwd=top, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(top)},
        )  # fmt: skip

    def __enter__(self) -> "Zygote":
        self._read()  # that it is loaded
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def seen(self, folder: Path) -> Path:
        """Where to find from outside what the process has in a folder."""
        return folder

    def run(self, stage: str, folder: Path, **how: object) -> Ended:
        """Run a stage in `folder` to its end; `how` is what `_run` takes."""
        with self.running(stage, folder, **how) as (_, ended):
            return ended()

    @contextmanager
    def running(self, stage: str, folder: Path, **how: object) -> Iterator[tuple]:
        """Start a stage: its process number, and a function that waits for its end.

        `keep`: file for what it prints; by default one beside `folder` that the next replaces.
        """
        touched = folder.parent / f"{folder.name}.touched"
        printed = Path(str(how.pop("keep", folder.parent / f"{folder.name}.out")))
        job = {"stage": stage, "folder": str(folder), "printed": str(printed), **how}
        job["touched"] = str(touched)
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        pid = self._read()["pid"]

        def ended() -> Ended:
            code = self._read()["code"]
            count = touched.stat().st_size if touched.exists() else 0  # killed before it began
            return Ended(code, printed.read_text(encoding="utf-8", errors="replace"), count)

        yield pid, ended

    def _read(self) -> Mapping:
        return json.loads(self._process.stdout.readline())


def _serve() -> None:
    import lightning_fabric
    import matplotlib
    import mlflow
    import torch

    assert lightning_fabric and matplotlib and mlflow
    torch.set_num_threads(1)
    mains = {stage: importlib.import_module(f"pipeline.{stage}").main for stage in STAGES}
    _tell({"loaded": True})
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(mains[job.pop("stage")], **job)
        _tell({"pid": pid})
        _tell({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


def _tell(what: Mapping) -> None:
    print(json.dumps(what), flush=True)


def _run(
    main, *, folder: str, printed: str, touched: str,
    kill_at: int | None = None, environment: Mapping[str, str] | None = None,
    prelude: str = "",
) -> None:  # fmt: skip
    """In the fork: run a stage as `python -m pipeline.<stage>` does, in `folder`.

    kill_at: number of the file operation, from 0, before which the process is killed.
    prelude: Python that runs first, e.g. to make a step slow.
    """
    from pipeline.stage import run

    os.setsid()
    signal.alarm(MOST_SECONDS)  # a hang is a failure, not a wait
    os.chdir(folder)
    os.environ.update(environment or {})
    with open(printed, "w") as out, open(touched, "wb", buffering=0) as counter:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        count = 0

        def before(event: str, arguments: tuple) -> None:
            nonlocal count
            if event in TOUCHING and not _is_of_a_library(arguments):
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                counter.write(b".")

        sys.addaudithook(before)
        code: object = 0
        try:
            exec(prelude, {})
            run(main)
        except SystemExit as exit:
            code = exit.code
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        if isinstance(code, str):
            print(code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _is_of_a_library(arguments: tuple) -> bool:
    """Whether a file is read by Python or a library for itself."""
    name = str(arguments[0]) if arguments else ""
    return name.startswith((sys.prefix, sys.base_prefix, "/proc", "/sys", "/etc", "/dev", "/usr"))


if __name__ == "__main__":
    _serve()
