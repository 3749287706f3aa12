"""SIGTERM ends a stage as Ctrl-C does: one line, nothing half written, and it goes on from it."""

import os
import random
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from stages import SLOWLY, wait_for

# Seconds that a stage takes at most, and how often it is stopped in short and in long.
TRIED = {
    "preprocess": (0.4, 1, 16), "tokenizer": (0.1, 1, 8), "floors": (0.1, 0, 6),
    "train": (2.0, 0, 14), "evaluate": (8.0, 0, 2), "report": (2.0, 0, 6),
}  # fmt: skip
SAID = {
    signal.SIGTERM: (143, "stopped by SIGTERM; the same command goes on from here"),
    signal.SIGINT: (1, "interrupted; the same command goes on from here"),
}


def statuses(folder: Path) -> set[str]:
    """Those of the tracker's runs."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return {status for (status,) in database.execute("SELECT status FROM runs")}


@pytest.mark.parametrize("stage", TRIED)
def test_a_stage_that_is_stopped(stage, scene, zygote, tmp_path, amount, figure):
    longest, *tries = TRIED[stage]
    draw, stopped = random.Random(stage), 0
    for _ in range(amount(*tries)):
        number = draw.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT])
        place = scene(stage)
        for kind in ("out", "touched"):  # none yet, should it be stopped before it begins
            (tmp_path / f"work.{kind}").write_text("")
        with zygote.running(stage, place.folder) as (pid, ended):
            time.sleep(draw.uniform(0, longest))
            with suppress(ProcessLookupError):  # it had ended by then
                os.kill(pid, number)
            end = ended()
        if end.printed or end.code >= 0:  # else it had not begun
            require_told(end.code, end.printed, number)
        stopped += end.code != 0
        place.require_whole()
        assert not list(place.folder.rglob("*.tmp"))
        assert "RUNNING" not in statuses(place.folder)
        place.require_goes_on()
        assert statuses(place.folder) <= {"FINISHED"}
    figure("machine trouble", "stopped by SIGTERM or Ctrl-C", stopped)


def require_told(code: int, printed: str, number: int) -> None:
    at_the_end, line = SAID[number]
    assert "Traceback" not in printed, printed
    assert (code, printed.splitlines().count(line)) in ((0, 0), (at_the_end, 1)), printed


@pytest.mark.parametrize("sent", SAID, ids=lambda sent: sent.name)
def test_a_training_asked_to_stop_says_so_and_goes_on_later(
    sent, zygote, scene, tmp_path, amount, figure
):
    draw, times, printed = random.Random(int(sent)), amount(1, 6), tmp_path / "printed"
    for _ in range(times):
        place = scene("train")
        printed.unlink(missing_ok=True)
        how = {"prelude": SLOWLY, "keep": str(printed)}
        with zygote.running("train", place.folder, **how) as (pid, ended):
            wait_for("epoch 1/", printed)
            time.sleep(draw.uniform(0, 0.5))
            os.kill(pid, sent)
            stopped = ended()
        assert (stopped.code, stopped.printed.splitlines()[-1]) == SAID[sent]
        assert not (place.folder / "runs").exists()
        assert "resuming after epoch" in place.require_goes_on().printed
    figure("killed", f"{sent.name}: asked to stop", times)


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
def test_a_signal_that_python_would_drop_ends_a_stage_too(number, scene):
    ended = scene("train").run(prelude=DROPPED.format(name=number.name))
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


def test_a_second_sigterm_does_not_wait_for_what_the_first_began(zygote, scene, tmp_path):
    printed = tmp_path / "work.out"
    with zygote.running("train", scene("train").folder, prelude=HELD_UP) as (pid, ended):
        for word in ("training", "cleaning up"):
            wait_for(word, printed)
            os.kill(pid, signal.SIGTERM)
        assert ended().code == -signal.SIGTERM
