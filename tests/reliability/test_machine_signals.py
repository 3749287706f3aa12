"""SIGTERM ends a stage as Ctrl-C does: one line, nothing half written, and it goes on from it."""

import os
import random
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from stages import copy, leftovers, results

# Seconds that a stage takes at most, and how often it is stopped in short and in long.
TRIED = {
    "preprocess": (0.4, 1, 16), "tokenizer": (0.1, 1, 8), "floors": (0.1, 0, 6),
    "train": (2.0, 0, 14), "evaluate": (8.0, 0, 2), "report": (2.0, 0, 6),
}  # fmt: skip
LINE = "stopped by SIGTERM; the same command goes on from here"


def statuses(folder: Path) -> set[str]:
    """Those of the tracker's runs."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return {status for (status,) in database.execute("SELECT status FROM runs")}


@pytest.mark.parametrize("stage", TRIED)
def test_a_stage_that_is_stopped(stage, zygote, undisturbed, tmp_path, amount, figure):
    longest, *tries = TRIED[stage]
    if not amount(*tries):
        pytest.skip("only in the long version: make torture")
    start, after, _ = undisturbed[stage]
    draw, stopped = random.Random(stage), 0
    for _ in range(amount(*tries)):
        number = draw.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT])
        folder = copy(start, tmp_path / "work")
        for kind in ("out", "touched"):  # none yet, should it be stopped before it begins
            (tmp_path / f"work.{kind}").write_text("")
        with zygote.running(stage, folder) as (pid, ended):
            time.sleep(draw.uniform(0, longest))
            with suppress(ProcessLookupError):  # it had ended by then
                os.kill(pid, number)
            end = ended()
        if end.printed or end.code >= 0:  # else it had not begun
            require_told(end.code, end.printed, number)
        stopped += end.code != 0
        for name, content in results(folder).items():
            assert content in (results(start).get(name), after.get(name)), name
        assert not list(folder.rglob("*.tmp"))
        assert "RUNNING" not in statuses(folder)
        again = zygote.run(stage, folder)
        assert again.code == 0, again.printed
        assert results(folder) == after
        assert leftovers(folder) == []
        assert statuses(folder) <= {"FINISHED"}
    figure("machine trouble", "stopped by SIGTERM or Ctrl-C", stopped)


def require_told(code: int, printed: str, number: int) -> None:
    lines = printed.splitlines()
    assert "Traceback" not in printed, printed
    if number == signal.SIGTERM:
        assert (code, lines.count(LINE)) in ((0, 0), (143, 1)), printed
    else:
        told = lines.count("interrupted; the same command goes on from here")
        assert (code, told) in ((0, 0), (1, 1)), printed


# The signal comes in the midst of a callback, where Python drops what is raised.
DROPPED = """
import os, signal, weakref
from rcan.training import train

class Thing:
    pass

def dropped(*_, **__):
    def callback(reference):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000):
            pass

    thing = Thing()
    kept = weakref.ref(thing, callback)
    del thing
    time.sleep(20)

import time
train.train = dropped
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_python_would_drop_ends_a_stage_too(number, zygote, undisturbed, tmp_path):
    folder = copy(undisturbed["train"][0], tmp_path / "work")
    ended = zygote.run("train", folder, prelude=DROPPED.format(name=number.name))
    assert ended.code
    require_told(ended.code, ended.printed, number)


HELD_UP = """
import time
from rcan.training import train

def held_up(*_, **__):
    try:
        print("training", flush=True)
        time.sleep(600)
    finally:
        print("cleaning up", flush=True)
        time.sleep(600)

train.train = held_up
"""


def test_a_second_sigterm_does_not_wait_for_what_the_first_began(zygote, undisturbed, tmp_path):
    folder = copy(undisturbed["train"][0], tmp_path / "work")
    printed = tmp_path / "work.out"
    printed.write_text("")
    with zygote.running("train", folder, prelude=HELD_UP) as (pid, ended):
        for word in ("training", "cleaning up"):
            wait_for(word, printed)
            os.kill(pid, signal.SIGTERM)
        assert ended().code == -signal.SIGTERM


def wait_for(word: str, printed: Path) -> None:
    start = time.monotonic()
    while word not in printed.read_text():
        assert time.monotonic() - start < 60
        time.sleep(0.01)
