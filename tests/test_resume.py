"""A training that is stopped anywhere goes on to the same bits."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from model_parts import OTHER_FAMILIES, name_of
from tiny import TOP, TRANSFORMER, prepare, run_files, tiny, train_tiny

from rcan.errors import UserError
from rcan.training import checkpoint, loop, train
from rcan.training.checkpoint import TrainingState
from rcan.training.key import forget_training

EPOCHS = 3
STEPS = 3  # an epoch: 12 studies in batches of 4


class PowerCut(BaseException):
    """Ends a training like nothing that the code could catch."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


def states(root) -> list:
    return sorted((root / ".rcan" / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def uninterrupted(place, tmp_path_factory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("uninterrupted")
    assert train_tiny(place, root) == [1, 2, 3]
    return run_files(root)


def raise_at(number: int, function):
    """`function`, but its call `number`, counted from 1, is a power cut."""
    calls = 0

    def counted(*arguments, **named):
        nonlocal calls
        calls += 1
        if calls == number:
            raise PowerCut
        return function(*arguments, **named)

    return counted


# What is called when the power goes, which call of it, and which epochs are left to train.
CUTS = [
    pytest.param(loop, "set_learning_rate", 2, [1, 2, 3], id="inside-epoch-1"),
    pytest.param(loop, "set_learning_rate", STEPS + 3, [2, 3], id="inside-epoch-2"),
    pytest.param(train, "_validate", 2, [2, 3], id="validating-epoch-2"),
    pytest.param(train, "_validate", 3, [3], id="validating-epoch-3"),
    pytest.param(checkpoint, "save_file", 2, [1, 2, 3], id="saving-epoch-1-after-best"),
    pytest.param(train, "write_run", 1, [], id="writing-the-run-folder"),
]


@pytest.mark.parametrize(("module", "function", "call", "left"), CUTS)
def test_a_training_cut_anywhere_ends_in_the_same_bytes(
    module, function, call, left, place, uninterrupted, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(module, function, raise_at(call, getattr(module, function)))
        with pytest.raises(PowerCut):
            train_tiny(place, tmp_path)
    assert not (tmp_path / "run").exists()
    assert train_tiny(place, tmp_path) == left
    assert run_files(tmp_path) == uninterrupted
    assert len(states(tmp_path)) == 1  # until DVC is known to have the run folder


@pytest.mark.parametrize("cut", [1, 2])
def test_a_training_cut_while_logging_goes_on_after_that_epoch(cut, place, uninterrupted, tmp_path):
    def stop(epoch):
        if epoch == cut:
            raise PowerCut

    with pytest.raises(PowerCut):
        train_tiny(place, tmp_path, on_epoch=stop)
    assert train_tiny(place, tmp_path) == list(range(cut + 1, EPOCHS + 1))
    assert run_files(tmp_path) == uninterrupted


def test_a_training_cut_after_every_epoch_ends_in_the_same_bytes(place, uninterrupted, tmp_path):
    def stop(epoch):
        raise PowerCut

    for _ in range(EPOCHS):
        with pytest.raises(PowerCut):
            train_tiny(place, tmp_path, on_epoch=stop)
    assert train_tiny(place, tmp_path) == []
    assert run_files(tmp_path) == uninterrupted


@pytest.mark.parametrize(
    "changes",
    [
        {"visual.frozen": True, "visual.feature_window": 4},
        TRANSFORMER | {"train.optimizer": "adam", "train.amsgrad": True, "train.warmup_steps": 5},
        TRANSFORMER | {"train.optimizer": "sgd", "train.clip_value": 0.1, "train.lr": 0.1},
        TRANSFORMER | {"curriculum.name": "cmcl", "curriculum.share": 1.0},
        {"model.family": "att2in", "reward.share": 0.67},
        {"model.family": "ppked", "train.optimizer": "sgd", "train.lr": 0.1},
        *OTHER_FAMILIES,
    ],
    ids=name_of,
)
def test_other_configurations_resume_to_the_same_bytes_too(changes, place, tmp_path):
    def stop(epoch):
        if epoch == 2:
            raise PowerCut

    train_tiny(place, tmp_path / "whole", changes)
    with pytest.raises(PowerCut):
        train_tiny(place, tmp_path / "cut", changes, on_epoch=stop)
    assert train_tiny(place, tmp_path / "cut", changes) == [3]
    assert run_files(tmp_path / "cut") == run_files(tmp_path / "whole")


SLOW_TRAINING = """
import sys, time, torch
from pathlib import Path
from tiny import tiny
from rcan.training import loop, train

torch.set_num_threads(1)
set_learning_rate = loop.set_learning_rate

def slowly(*arguments):
    time.sleep(0.4)
    return set_learning_rate(*arguments)

loop.set_learning_rate = slowly
processed, tokenizer, floors, root = map(Path, sys.argv[1:])
train.train(
    tiny(), processed=processed, tokenizer=tokenizer, floors=floors, out=root / "run",
    root=root,
    log_to=lambda key: lambda epoch, numbers: print(f"epoch {epoch}", flush=True),
)
"""


def test_a_process_holds_its_state_until_it_is_killed_and_the_next_goes_on(
    place, uninterrupted, tmp_path
):
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_TRAINING, *map(str, place.values()), str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TOP / "tests")},
        cwd=TOP,
    )  # fmt: skip
    try:
        assert any(line == "epoch 1\n" for line in child.stdout)
        started = time.monotonic()
        with pytest.raises(UserError, match=f"process {child.pid} is already training") as caught:
            train_tiny(place, tmp_path)
        assert "\n" not in str(caught.value)
        # Some instant of epoch 2, which lasts at least three times 0.4 s.
        instant = started + random.Random(7).uniform(0, STEPS * 0.4)
        time.sleep(max(0, instant - time.monotonic()))
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    left = train_tiny(place, tmp_path)
    assert left in ([2, 3], [3])
    assert run_files(tmp_path) == uninterrupted


def test_a_finished_training_is_only_written_again_until_it_is_forgotten(
    place, uninterrupted, tmp_path
):
    assert train_tiny(place, tmp_path) == [1, 2, 3]
    shutil.rmtree(tmp_path / "run")  # as DVC does before a stage
    assert train_tiny(place, tmp_path) == []
    assert run_files(tmp_path) == uninterrupted
    key = json.loads(uninterrupted["best.json"])["key"]
    forget_training(tmp_path, key)
    assert states(tmp_path) == []
    assert train_tiny(place, tmp_path) == [1, 2, 3]
    assert run_files(tmp_path) == uninterrupted


def test_a_training_that_is_under_way_is_not_forgotten(place, tmp_path):
    with TrainingState(tmp_path / ".rcan" / "checkpoints" / "key") as state:
        state.last.touch()
        forget_training(tmp_path, "key")
        assert state.last.exists()
