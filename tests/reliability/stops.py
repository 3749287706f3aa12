"""Commands stopped with all that they started, at random instants, until they are through."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from repository import Repository


def stop_until_through(
    project: Repository, command: Sequence[str], sent: signal.Signals, wanted: int,
    draw: random.Random, longest: float,
) -> int:  # fmt: skip
    """Start a command again and again, and stop it after at most `longest` seconds, `wanted` times
    at most; then let it end. Returns how often it was stopped."""
    stops = 0
    while True:
        started = project.start(*command)
        try:
            code = started.wait(draw.uniform(1, longest) if stops < wanted else 600)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, sent)
            code = started.wait(60)
            stops += 1
            wait_until_idle(project.folder)
        output = project.printed()
        if code == 0:
            return stops
        assert code != 1 or "error:" in output, output
        assert sent == signal.SIGKILL or "Traceback" not in output, output


def processes_in(folder: Path) -> list[int]:
    """Processes whose current folder is in `folder`, or that were started for it."""
    found, name = [], os.fsencode(folder)
    for place in Path("/proc").glob("[0-9]*"):
        try:
            here = os.readlink(place / "cwd")
            told = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if Path(here).is_relative_to(folder) or name in told:
            found.append(int(place.name))
    return found


def wait_until_idle(folder: Path) -> None:
    for _ in range(600):
        if not processes_in(folder):
            return
        time.sleep(0.2)
    raise AssertionError(f"still running: {processes_in(folder)}")
