"""A stage that is asked to stop says so in one line, a clock that jumps changes nothing, and of two
trainings of one configuration the second is refused: the same bytes come out in the end."""

import os
import random
import signal
import time

import pytest
from stages import EPOCHS, SLOWLY, copy, leftovers, logged, results
from zygote import Zygote

SAID = {
    signal.SIGTERM: (
        128 + signal.SIGTERM,
        "stopped by SIGTERM; the same command goes on from here",
    ),
    signal.SIGINT: (1, "interrupted; the same command goes on from here"),
}


def wait_for(text: str, path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while text not in (path.read_text(encoding="utf-8") if path.exists() else ""):
        assert time.monotonic() < end, f"{text!r} was not printed"
        time.sleep(0.02)


@pytest.mark.parametrize("sent", SAID, ids=lambda sent: sent.name)
def test_a_training_asked_to_stop_says_so_and_goes_on_later(
    sent, zygote, undisturbed, tmp_path, amount, figure
):
    start, after, _ = undisturbed["train"]
    draw, times = random.Random(int(sent)), amount(1, 6)
    for _ in range(times):
        folder, printed = copy(start, tmp_path / "work"), tmp_path / "printed"
        printed.unlink(missing_ok=True)
        with zygote.running("train", folder, prelude=SLOWLY, keep=str(printed)) as (pid, ended):
            wait_for("epoch 1/", printed)
            time.sleep(draw.uniform(0, 0.5))
            os.kill(pid, sent)
            stopped = ended()
        code, said = SAID[sent]
        assert (stopped.code, stopped.printed.splitlines()[-1]) == (code, said)
        assert not (folder / "runs").exists()
        again = zygote.run("train", folder)
        assert again.code == 0 and "resuming after epoch" in again.printed
        assert results(folder) == after
        assert leftovers(folder) == []
    figure("killed", f"{sent.name}: asked to stop", times)


JUMPING = """
import random, time
clock, draw = time.time, random.Random(0)
time.time = lambda: clock() + draw.choice((-1, 1)) * draw.uniform(0, 3e8)
"""


def test_a_clock_that_jumps_by_years_changes_nothing(zygote, undisturbed, tmp_path, figure):
    start, after, _ = undisturbed["train"]
    folder = copy(start, tmp_path / "work")
    ended = zygote.run("train", folder, prelude=JUMPING)
    assert ended.code == 0, ended.printed
    assert results(folder) == after
    counts = logged(folder)
    assert [counts["train/loss", epoch] for epoch in range(1, EPOCHS + 1)] == [1] * EPOCHS
    figure("machine trouble", "trainings under a jumping clock", 1)


def test_a_second_training_of_one_configuration_is_refused(zygote, undisturbed, tmp_path, figure):
    start, after, _ = undisturbed["train"]
    folder, printed = copy(start, tmp_path / "work"), tmp_path / "printed"
    how = {"prelude": SLOWLY, "keep": str(printed)}
    with Zygote() as other, zygote.running("train", folder, **how) as (pid, ended):
        wait_for("epoch 1/", printed)
        second = other.run("train", folder)
        assert second.code == 1
        assert f"error: process {pid} is already training this exact" in second.printed
        assert ended().code == 0
    assert results(folder) == after
    figure("machine trouble", "second runs refused", 1)
