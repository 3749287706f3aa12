"""A stage that is killed anywhere, started again, ends in the bytes of an undisturbed run."""

import os
import random
import re
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest
from stages import EPOCHS, copy, leftovers, logged, results
from zygote import STAGES, Ended, Zygote

# Of each stage's file operations, how many are tried in the short and in the long version.
TRIED = {
    "preprocess": (4, 60), "tokenizer": (2, 10), "floors": (1, 10), "train": (2, 40),
    "evaluate": (0, 8), "report": (0, 16),
}  # fmt: skip
MOST = {"evaluate": 2, "report": 2}  # kills in a row; what each starts from is the same again


@pytest.mark.parametrize("stage", STAGES)
def test_killed_before_a_file_operation_and_started_again(
    stage, undisturbed, scene, amount, figure
):
    times = amount(*TRIED[stage])
    *_, operations = undisturbed[stage]
    tried = random.Random(stage).sample(range(operations), min(times, operations))
    killed = 0
    for number in tried:
        place = scene(stage)
        ended = place.run(kill_at=number)
        assert ended.code in (0, -signal.SIGKILL), ended.printed  # 0: one operation fewer this time
        killed += ended.code < 0
        place.require_whole(but=".tmp")  # beside what it will replace
        place.require_goes_on()
    assert killed > 0.8 * len(tried)
    figure("killed", f"{stage}: kills before a file operation", killed)


# The n-th time that weights are saved, this much of the file is on disk when the process dies.
HALF_SAVED = """
import os, signal
from rcan.training import checkpoint
save, calls = checkpoint.save_file, 0

def half(tensors, path, metadata=None):
    global calls
    calls += 1
    save(tensors, path, metadata)
    if calls == {call}:
        os.truncate(path, int(os.path.getsize(path) * {share}))
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save_file = half
"""


def test_killed_while_a_checkpoint_is_half_written(scene, amount, figure):
    draw, times = random.Random(1), amount(2, 12)
    for _ in range(times):
        place = scene("train")
        half = HALF_SAVED.format(call=draw.randint(1, EPOCHS + 1), share=draw.random())
        assert place.run(prelude=half).code == -signal.SIGKILL
        place.require_goes_on()
    figure("killed", "kills in half a checkpoint", times)


def killed_after(seconds: float, zygote: Zygote, stage: str, folder) -> Ended:
    with zygote.running(stage, folder) as (pid, ended):
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # it had ended by then
            os.kill(pid, signal.SIGKILL)
        return ended()


def test_killed_at_random_instants_until_all_stages_are_through(
    zygote, undisturbed, tmp_path, amount, figure
):
    start, *_ = undisturbed["preprocess"]
    stages = STAGES[: amount(4, 6)]
    draw, wanted, kills, rounds = random.Random(7), amount(6, 100), Counter(), 0
    while kills.total() < wanted:
        rounds += 1
        folder, trained = copy(start, tmp_path / "work"), Counter()
        for stage in stages:
            kills[stage] += until_through(stage, zygote, folder, draw, trained)
        assert results(folder) == undisturbed[stages[-1]][1]
        assert leftovers(folder) == []
        assert set(trained.values()) <= {1}, "an epoch that was kept is not trained again"
        assert {n for (name, _), n in logged(folder).items() if "/" in name} <= {1}
        if stages == STAGES:
            assert all(logged(folder)["train/loss", epoch + 1] for epoch in range(EPOCHS))
    for stage in stages:
        figure("killed", f"{stage}: kills at a random instant", kills[stage])
    figure("killed", "epochs in the tracker once each after that", rounds * EPOCHS)


def until_through(stage: str, zygote: Zygote, folder, draw: random.Random, trained: Counter) -> int:
    """Start a stage and kill it, again and again until it gets through; the number of kills."""
    longest = {"train": 1.5, "evaluate": 9, "report": 2}.get(stage, 0.2)
    kills = 0
    while True:
        if kills == MOST.get(stage):
            ended = zygote.run(stage, folder)
        else:
            ended = killed_after(draw.uniform(0, longest), zygote, stage, folder)
            longest *= 1.1  # a busy machine takes longer
        trained.update(map(int, re.findall(r"epoch (\d+)/", ended.printed)))
        assert ended.code in (0, -signal.SIGKILL), ended.printed
        if ended.code == 0:
            return kills
        kills += 1
