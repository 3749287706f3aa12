"""Commands side by side, each in a process of its own, with a line whenever one begins or ends."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcan.errors import UserError

HEARTBEAT = 60  # seconds between lines while nothing ends
LAST_WORDS = 4096


@dataclass(frozen=True)
class Job:
    """A command, the file that takes what it prints, and what it is told by its environment."""

    name: str
    command: Sequence[str]
    log: Path


def run_side_by_side(jobs: Sequence[Job], places: Sequence[Mapping[str, str]]) -> None:
    """Run all jobs in order, one at a time in each of `places`, which add to the environment.

    One that fails leaves the others running. However this ends, no process is left behind.
    Raises `UserError` that names the failed ones, with their last line, once all have been tried.
    """
    waiting, failed = list(jobs), list[str]()
    running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
    began, done, told = time.monotonic(), 0, time.monotonic()
    try:
        while waiting or running:
            for place in range(len(places)):
                if waiting and place not in running:
                    job = waiting.pop(0)
                    running[place] = (job, _start(job, places[place]))
            time.sleep(0.2)
            for place, (job, process) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[place]
                done += 1
                if process.returncode:
                    failed.append(f"{job.name} ({_last_line(job.log)}; all of it: {job.log})")
                word = "failed" if process.returncode else "done"
                left = (len(jobs) - done) * (time.monotonic() - began) / done
                _say(f"{job.name}: {word}; {done} of {len(jobs)}, about {left / 60:.0f} min left")
                told = time.monotonic()
            if running and time.monotonic() - told > HEARTBEAT:
                _say("; ".join(f"{job.name}: {_last_line(job.log)}" for job, _ in running.values()))
                told = time.monotonic()
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.wait()
    if failed:
        raise UserError(
            f"{len(failed)} of {len(jobs)} failed: {'; '.join(failed)}; mend it and run the same "
            "command again: what is done is kept"
        )


def _start(job: Job, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("wb") as log:
        return subprocess.Popen(
            job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )  # fmt: skip


def _last_line(log: Path) -> str:
    """The last thing that was printed, of a progress bar its last state."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_WORDS))
        words = file.read().decode("utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing printed yet"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
