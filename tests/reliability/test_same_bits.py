"""Two runs of one commit, seed and machine are the same bytes, whatever ran beside them."""

import pytest
from stages import copy, results, snapshots
from zygote import STAGES, Zygote


@pytest.fixture(scope="module")
def first(zygote, tmp_path_factory, amount):
    return snapshots(zygote, tmp_path_factory.mktemp("first"), STAGES[: amount(4, 6)])


def again(zygote: Zygote, first, folder, stages, prelude: str = "") -> dict[str, bytes]:
    copy(first[stages[0]][0], folder)
    for stage in stages:
        ended = zygote.run(stage, folder, prelude=prelude)
        assert ended.code == 0, ended.printed
    return results(folder)


def test_a_second_run_of_all_stages_is_the_same_bytes(zygote, first, tmp_path, amount, figure):
    stages = STAGES[: amount(4, 6)]
    times = amount(1, 3)
    for _ in range(times):
        assert again(zygote, first, tmp_path / "work", stages) == first[stages[-1]][1]
    figure("same bits", "whole runs again", times)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_images_are_packed_by_any_number_of_threads_to_the_same_bytes(
    workers, zygote, first, tmp_path, figure
):
    prelude = f"import os; os.cpu_count = lambda: {workers}"
    packed = again(zygote, first, tmp_path / "work", STAGES[:1], prelude)
    assert packed == first["preprocess"][1]
    figure("same bits", "numbers of loader threads", 1)


OTHERWISE = """
import torch
from rcan.training import train
launch = train.launch

def launch_otherwise(settings, devices):
    sections_train = settings.train.model_copy(update={changes})
    fabric = launch(settings.model_copy(update={{"train": sections_train}}), devices)
    assert {expected}
    return fabric

train.launch = launch_otherwise
"""
TWO_THREADS = OTHERWISE.format(changes={"threads": 2}, expected="torch.get_num_threads() == 2")
STRICT = OTHERWISE.format(
    changes={"deterministic": True}, expected="torch.are_deterministic_algorithms_enabled()"
)


def test_a_training_with_two_threads_is_the_same_bytes_each_time(zygote, first, tmp_path, figure):
    """Sums are taken in another order than with one."""
    once, twice = (
        again(zygote, first, tmp_path / "work", ["train"], TWO_THREADS) for _ in range(2)
    )
    assert once == twice
    figure("same bits", "trainings with two threads", 2)


@pytest.mark.parametrize("found", [2, 3])
def test_the_threads_that_a_machine_offers_change_no_byte(
    found, zygote, first, tmp_path, amount, figure
):
    """The settings name their number, whatever the environment says."""
    stages = STAGES[STAGES.index("train") : amount(4, 6)]
    offered = f"import torch; torch.set_num_threads({found})"
    assert again(zygote, first, tmp_path / "work", stages, offered) == first[stages[-1]][1]
    figure("same bits", "numbers of threads that a machine offers", 1)


def test_the_strict_switch_is_on_when_asked_for_and_changes_nothing_on_a_cpu(
    zygote, first, tmp_path, figure
):
    assert again(zygote, first, tmp_path / "work", ["train"], STRICT) == first["train"][1]
    figure("same bits", "trainings under train.deterministic", 1)
