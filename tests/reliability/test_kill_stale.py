"""The state of a stopped training is gone on with by the same training alone: anything else starts
afresh, says why, and is the bytes of a training that never met that state."""

import re

import pytest
from stages import EPOCHS, before, copy, make, results
from zygote import Zygote

STOPPED = before(
    "rcan.training.loop.seed_epoch", "os.kill(os.getpid(), signal.SIGKILL)", "arguments[1] == 3"
)
OTHER_CODE = "from rcan.training import key; key.code_digest = lambda *modules: 'edited'"
# What changes, the stages that run again before the training, and what is told of it.
CHANGES = {
    "a setting": ({"wcl.tau": 0.2}, [], "", "wcl.tau"),
    "the data": ({"demo.seed": 2}, ["preprocess", "tokenizer", "floors"], "", "data, tokenizer"),
    "the tokenizer": (
        {"data.min_freq": 2},
        ["tokenizer", "floors"],
        "",
        "data.min_freq, tokenizer",
    ),
    "the code": ({}, [], OTHER_CODE, "code"),
}
NO_TRACKER = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def stopped(zygote, tmp_path_factory):
    """A folder whose training was killed in its third epoch."""
    folder = make(tmp_path_factory.mktemp("stopped") / "work")
    for stage in ("preprocess", "tokenizer", "floors"):
        assert zygote.run(stage, folder).code == 0
    assert train(zygote, folder, STOPPED).code == -9
    return folder


def train(zygote: Zygote, folder, prelude: str = ""):
    return zygote.run("train", folder, prelude=prelude, environment=NO_TRACKER)


def trained(printed: str) -> list[int]:
    return [int(epoch) for epoch in re.findall(r"^epoch (\d+)/", printed, re.MULTILINE)]


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_starts_afresh_says_so_and_leaves_the_old_state(
    what, zygote, stopped, tmp_path, figure
):
    changes, before, prelude, told = CHANGES[what]
    folder, alone = copy(stopped, tmp_path / "work"), make(tmp_path / "alone", changes)
    make(folder, changes)
    for stage in before:
        assert zygote.run(stage, folder).code == 0
    after_change = train(zygote, folder, prelude)
    assert f"stopped after epoch 2 had other {told}; its state is kept in" in after_change.printed
    assert trained(after_change.printed) == list(range(1, EPOCHS + 1))

    for stage in ("preprocess", "tokenizer", "floors"):
        assert zygote.run(stage, alone).code == 0
    never_met = train(zygote, alone, prelude)
    assert "starting afresh" not in never_met.printed
    assert results(folder) == results(alone)
    figure("killed", f"{what}: stale states met", 1)


def test_the_same_training_goes_on_also_after_another_one_in_between(zygote, stopped, tmp_path):
    folder = make(copy(stopped, tmp_path / "work"), {"wcl.tau": 0.2})
    assert train(zygote, folder).code == 0
    back = train(zygote, make(folder))
    assert f"resuming after epoch 2 of {EPOCHS}" in back.printed
    assert "starting afresh" not in back.printed
    assert trained(back.printed) == [3, 4]


def test_a_training_that_goes_on_says_nothing_of_other_states(zygote, stopped, tmp_path):
    folder = make(copy(stopped, tmp_path / "work"), {"wcl.tau": 0.2})
    assert train(zygote, folder, STOPPED).code == -9  # two are stopped now
    goes_on = train(zygote, folder)
    assert f"resuming after epoch 2 of {EPOCHS}" in goes_on.printed
    assert "starting afresh" not in goes_on.printed
