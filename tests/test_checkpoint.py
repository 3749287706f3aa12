"""What is kept of a training: held by one at a time, read back exactly, and never mixed up."""

import os
import resource
import shutil

import pytest
import torch
from model_parts import read
from safetensors.torch import load_file
from tiny import prepare, tiny

from rcan import files
from rcan.errors import UserError
from rcan.model.build import build_model
from rcan.training.checkpoint import (
    Progress,
    TrainingState,
    load_weights,
    read_tensors,
    write_tensors,
)
from rcan.training.optimization import build_optimizer


class PowerCut(BaseException):
    """Ends a training like nothing that the code could catch."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


# The lock


def test_a_state_that_is_held_is_refused_at_once_naming_the_holder(tmp_path):
    with TrainingState(tmp_path / "key"):
        for _ in range(2):  # and a refused one does not unname the holder
            with (
                pytest.raises(UserError, match=rf"^process {os.getpid()} is already training"),
                TrainingState(tmp_path / "key"),
            ):
                pytest.fail("two trainings hold one state")
        with TrainingState(tmp_path / "another key"):
            pass
        with TrainingState(tmp_path / "key", owner=False):
            pass
    with TrainingState(tmp_path / "key"):
        pass


def test_a_failed_training_lets_go_of_its_state(tmp_path):
    with pytest.raises(PowerCut), TrainingState(tmp_path / "key"):
        raise PowerCut
    with TrainingState(tmp_path / "key"):
        pass


# What is kept


def trained_a_step(changes=None, seed=1):
    """A model and its optimiser after one step on random images."""
    torch.manual_seed(seed)
    settings = tiny(changes)
    model = build_model(settings, 20)
    optimizer = build_optimizer(model, settings.train)
    images = torch.randint(0, 256, (4, 2, 28, 28), dtype=torch.uint8)
    projections = torch.ones(4, 2, dtype=torch.long)
    logits, p = read(model, images, projections, torch.randint(4, 20, (4, 6)))
    (logits.square().mean() + p.square()[..., 0].mean()).backward()
    optimizer.step()
    return model, optimizer


def test_optimiser_moments_come_back_equal_and_in_their_parameters_layout(tmp_path):
    model, optimizer = trained_a_step({"train.amsgrad": True})
    numbers = {"epoch": 1, "loss": 0.1, "val_BLEU-4": 0.2}
    progress = Progress(epoch=1, history=[numbers], best=numbers)
    with TrainingState(tmp_path / "key") as state:
        state.save(model, optimizer, progress, is_best=True)
        other, other_optimizer = trained_a_step({"train.amsgrad": True}, seed=2)
        assert state.load(other, other_optimizer) == progress
    kept, loaded = optimizer.state_dict(), other_optimizer.state_dict()
    assert loaded["param_groups"] == kept["param_groups"]
    assert loaded["state"].keys() == kept["state"].keys() != set()
    parameters = [p for group in other_optimizer.param_groups for p in group["params"]]
    assert any(not parameter.is_contiguous() for parameter in parameters)  # channels last
    for index, parameter in enumerate(parameters):
        moments = loaded["state"].get(index, {})
        for name, value in moments.items():
            assert torch.equal(value, kept["state"][index][name])
            assert value.dim() == 0 or value.stride() == parameter.stride(), name
    for name, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
        assert value.stride() == model.state_dict()[name].stride()


EARLY = {"epoch": 1, "loss": 0.1}  # of pre-training
LATER = {"epoch": 2, "loss": 0.2, "val_BLEU-4": 0.3}


def test_pre_training_has_no_best_epoch_and_comes_first(tmp_path):
    model, optimizer = trained_a_step()
    with TrainingState(tmp_path / "key") as state:
        for progress in (Progress(1, [EARLY]), Progress(2, [EARLY, LATER], LATER, before=1)):
            state.save(model, optimizer, progress, is_best=progress.best is not None)
            assert state.best.exists() == (progress.best is not None)
            assert state.load(model, optimizer) == progress
        late = EARLY | {"epoch": 3}
        for wrong in (
            Progress(1, [EARLY], EARLY),
            Progress(2, [EARLY, LATER]),
            Progress(3, [EARLY, LATER, late], LATER),
        ):
            state.save(model, optimizer, wrong, is_best=False)
            with pytest.raises(UserError, match=r"progress: expected .* found (another|others)"):
                state.load(model, optimizer)


def test_a_fresh_state_starts_at_epoch_0_and_leaves_the_model_alone(tmp_path):
    model, optimizer = trained_a_step()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with TrainingState(tmp_path / "key") as state:
        assert state.load(model, optimizer) == Progress()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_only_a_best_epoch_replaces_the_best_weights(tmp_path):
    first, optimizer = trained_a_step(seed=1)
    second, second_optimizer = trained_a_step(seed=2)
    with TrainingState(tmp_path / "key") as state:
        state.save(first, optimizer, Progress(1), is_best=True)
        state.save(second, second_optimizer, Progress(2), is_best=False)
        name = "classifier.weight"
        assert torch.equal(load_file(state.best)[name], first.state_dict()[name])
        assert torch.equal(load_file(state.last)[f"model.{name}"], second.state_dict()[name])
        state.save(second, second_optimizer, Progress(3), is_best=True)
        assert torch.equal(load_file(state.best)[name], second.state_dict()[name])
    assert {path.name for path in state.folder.iterdir()} == {
        "best.safetensors", "last.safetensors", "lock",
    }  # fmt: skip


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "best.safetensors"
    write_tensors(path, {"a": torch.ones(2)})
    before = path.read_bytes()

    def cut(*_):
        raise PowerCut

    monkeypatch.setattr(files.os, "replace", cut)
    with pytest.raises(PowerCut):
        write_tensors(path, {"a": torch.zeros(2)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["best.safetensors"]


@pytest.mark.parametrize("size", [0, 4, 100, 2000, -1])
def test_a_damaged_state_is_named_with_what_to_do(size, tmp_path):
    model, optimizer = trained_a_step()
    with TrainingState(tmp_path / "key") as state:
        state.save(model, optimizer, Progress(1), is_best=True)
        os.truncate(state.last, size if size >= 0 else state.last.stat().st_size - 1)
        with pytest.raises(UserError, match="cannot be read as weights") as caught:
            state.load(model, optimizer)
    message = str(caught.value)
    assert str(state.last) in message and "delete it" in message and "\n" not in message


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda w: w | {"a": torch.ones(3)}, r"a must be \(2,\) torch.float32, it is \(3,\)"),
        (lambda w: {"b": w["b"]}, r"a must be \(2,\) torch.float32, it is None"),
        (lambda w: w | {"c": torch.ones(1)}, r"c must be None, it is \(1,\)"),
        (lambda w: w | {"a": torch.ones(2).half()}, r"a must be .*float32, it is .*float16"),
    ],
    ids=["another-shape", "missing", "unknown", "another-kind"],
)
def test_weights_of_another_model_are_told_by_the_first_that_does_not_fit(damage, said, tmp_path):
    model = torch.nn.Module()
    model.a, model.b = (torch.nn.Parameter(torch.zeros(n)) for n in (2, 4))
    path = tmp_path / "best.safetensors"
    write_tensors(path, damage({"a": torch.ones(2), "b": torch.ones(4)}))
    with pytest.raises(UserError, match=said) as caught:
        load_weights(model, read_tensors(path)[0], path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not model.b.any()  # nothing was copied


def test_a_disk_that_fills_while_saving_is_told_and_the_file_before_is_kept(tmp_path):
    path = tmp_path / "last.safetensors"
    write_tensors(path, {"weights": torch.zeros(10)})
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))  # no file may grow beyond
    try:
        with pytest.raises(UserError, match=r"last\.safetensors cannot be written") as caught:
            write_tensors(path, {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["last.safetensors"]


def test_a_disk_without_room_for_the_training_is_told_before_it_starts(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        TrainingState(tmp_path / "state") as state,
        pytest.raises(UserError, match=r"needs about 4 MB in .*, 0 MB are free"),
    ):
        state.require_room(torch.nn.Linear(100, 1000))
