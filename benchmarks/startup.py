"""What a command costs before it does anything: `rcan --help`, `dvc repro` with nothing to do."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Result, timed

TOP = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
UP_TO_DATE = "Data and pipelines are up to date."


def run(options) -> list[Result]:
    """Seconds of whole processes, started in this checkout; `dvc repro` only where it is idle."""
    command = ("rcan", "--help")
    results = [Result(" ".join(command), _seconds(command, options.rounds), "s", at_most=0.3)]
    if options.quick:
        return results
    status = _run(("dvc", "status"))
    if status.returncode != 0 or UP_TO_DATE not in status.stdout:  # `dvc repro` would train
        reason = "`dvc status` failed" if status.returncode else "this checkout is not up to date"
        print(
            f"dvc repro with nothing to do: skipped, {reason}; run `make repro` first", flush=True
        )
        return results
    seconds = _seconds(("dvc", "repro"), options.rounds)
    return [*results, Result("dvc repro with nothing to do", seconds, "s", at_most=4.0)]


def _seconds(command: Sequence[str], rounds: int) -> list[float]:
    """One value a round, after one start that is not counted."""
    _run(command).check_returncode()
    return [timed(lambda: _run(command).check_returncode()) for _ in range(rounds)]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess:
    program, *arguments = command
    path = f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}"  # as in the activated environment
    return subprocess.run(
        [str(PROGRAMS / program), *arguments], cwd=TOP, env=os.environ | {"PATH": path},
        capture_output=True, text=True,
    )  # fmt: skip
