"""Training from end to end at its smallest: it learns, it chooses, and it stops as it should."""

import csv
import json
import math
import os
import subprocess
import sys

import pytest
import torch
from lightning_fabric import Fabric
from tiny import R2GENCMN, TOP, TRANSFORMER, prepare, tiny

from rcan.data.store import open_split
from rcan.errors import UserError
from rcan.evaluation.bleu import bleu
from rcan.model.build import build_model
from rcan.text.tokenizer import Tokenizer
from rcan.training import loop, train
from rcan.training.checkpoint import TrainingState, read_tensors
from rcan.training.inputs import study_batches
from rcan.training.loop import SELECTION, fit
from rcan.training.run_folder import load_run
from rcan.training.train import write_reports

LEARNING = {"train.epochs": 6, "train.lr": 0.01, "train.schedule": "exponential"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


def run(place, root, changes=None):
    """Train into `root`/run; settings, history (text) and best.json."""
    settings = tiny(changes)
    train.train(
        settings, **place, out=root / "run", root=root, log_to=lambda key: lambda *_: None
    )
    with (root / "run" / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    return settings, history, json.loads((root / "run" / "best.json").read_text())


def batches(place, root, settings, split, cnn):
    return study_batches(
        open_split(place["processed"], split), Tokenizer.load(place["tokenizer"]), settings,
        cnn=cnn, device=torch.device("cpu"), processed=place["processed"], root=root,
        batch_size=settings.train.batch_size,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [TRANSFORMER, R2GENCMN, {}, {"visual.frozen": True}],
    ids=["transformer", "r2gencmn", "full", "full-on-kept-features"],
)
def test_every_configuration_learns_and_leaves_a_run_folder(changes, place, tmp_path):
    settings, history, best = run(place, tmp_path, LEARNING | changes)
    losses = [float(row["loss_ce"]) for row in history]
    assert losses[-1] < losses[0] - 0.5
    assert [int(row["epoch"]) for row in history] == list(range(1, 7))
    assert ("loss_wcl" in history[0]) is settings.model.use_wcl
    assert "images_per_second" not in history[0]
    rates = [float(row["lr"]) for row in history]
    assert rates == pytest.approx([0.01 * 0.8**epoch for epoch in range(6)])

    scores = [float(row[SELECTION]) for row in history]
    assert best["epoch"] == 1 + scores.index(max(scores))
    assert best[SELECTION] == max(scores)
    assert best["name"] == settings.name and len(best["key"]) == 32
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "best.json", "best.safetensors", "config.json", "history.csv", "last.safetensors",
    }  # fmt: skip


def test_the_loss_is_the_weighted_sum_of_its_parts(place, tmp_path):
    _, history, _ = run(place, tmp_path, {"wcl.lambda_ce": 0.7})
    for row in history:
        expected = 0.7 * float(row["loss_ce"]) + 0.3 * float(row["loss_wcl"])
        assert float(row["loss"]) == pytest.approx(expected, rel=1e-5)


def test_the_best_weights_are_those_that_validation_scored(place, tmp_path):
    settings, _, best = run(place, tmp_path, LEARNING | TRANSFORMER)
    words = Tokenizer.load(place["tokenizer"])
    model, _, _ = load_run(tmp_path / "run", len(words))
    val = open_split(place["processed"], "val")
    (reports,) = write_reports(
        model, batches(place, tmp_path, settings, "val", model.cnn), words, settings
    )
    scores = bleu(reports, [study.text for study in val.studies])
    assert {f"val_{name}": score for name, score in scores.items()} == {
        name: value for name, value in best.items() if name.startswith("val_")
    }


def test_the_length_penalty_is_the_one_with_the_best_validation_bleu_4(place, tmp_path):
    penalties = [0.0, 0.5, 1.0, 2.0, 3.0]
    changes = LEARNING | TRANSFORMER | {"generate.length_penalty": penalties}
    settings, _, best = run(place, tmp_path, changes)
    words = Tokenizer.load(place["tokenizer"])
    model, _, _ = load_run(tmp_path / "run", len(words))
    val = open_split(place["processed"], "val")
    inputs = batches(place, tmp_path, settings, "val", model.cnn)
    references = [study.text for study in val.studies]
    by_penalty = write_reports(model, inputs, words, settings)
    scores = [bleu(reports, references)["BLEU-4"] for reports in by_penalty]
    assert len(set(scores)) > 1
    assert best["length_penalty"] == penalties[scores.index(max(scores))]
    assert best[SELECTION] == max(scores)
    # The test split is written under that penalty alone: the same reports.
    chosen = best["length_penalty"]
    (again,) = write_reports(model, inputs, words, settings, penalties=[chosen])
    assert again == by_penalty[penalties.index(chosen)]


def test_a_frozen_cnn_keeps_its_weights_and_evaluation_reads_the_features_of_training(
    place, tmp_path
):
    changes = {"visual.frozen": True, "visual.feature_window": 4}
    settings, _, _ = run(place, tmp_path, changes)
    features = tmp_path / ".rcan" / "features"
    before = {path: path.read_bytes() for path in features.rglob("*.npy")}
    assert sorted(path.name for path in before) == ["train.npy", "val.npy"]

    words = Tokenizer.load(place["tokenizer"])
    model, trained, _ = load_run(tmp_path / "run", len(words))
    loop.seed_epoch(settings.train.seed, 0)
    fresh = build_model(settings, len(words))
    for name, value in fresh.cnn.state_dict().items():
        assert torch.equal(value, model.cnn.state_dict()[name]), name

    in_evaluation = next(batches(place, tmp_path, trained, "val", model.cnn).in_order())
    in_training = next(batches(place, tmp_path, settings, "val", fresh.cnn).in_order())
    assert torch.equal(in_evaluation.images, in_training.images)
    assert {path: path.read_bytes() for path in features.rglob("*.npy")} == before
    batches(place, tmp_path, trained, "test", model.cnn)
    assert {path.name for path in features.rglob("*.npy")} == {"train.npy", "val.npy", "test.npy"}


@pytest.mark.parametrize(
    "changes",
    [
        {"train.batch_size": 11},  # the last batch has one study: batch norm needs two rows
        {"data.num_views": 1, "wcl.views": "augment"},
        {"train.batch_size": 64, "train.clip_norm": None, "cgm.fusion": "replace"},
        {"visual.backbone": "resnet18", "visual.last_layer": "layer3", "visual.token_grid": 1},
    ],
    ids=["one-study-left", "one-view", "one-batch", "resnet"],
)
def test_other_sizes_train_too(changes, place, tmp_path):
    run(place, tmp_path, {"train.epochs": 1} | changes)


def test_seeds_differ_from_the_first_weights_on(place, tmp_path):
    run(place, tmp_path / "1", {"train.epochs": 1, "train.seed": 1})
    run(place, tmp_path / "2", {"train.epochs": 1, "train.seed": 2})
    one, two = (read_tensors(tmp_path / s / "run" / "last.safetensors")[0] for s in "12")
    assert not torch.equal(one["memory" if "memory" in one else "word_embedding.weight"],
                           two["memory" if "memory" in two else "word_embedding.weight"])


# The loop by itself: it knows no tokenizer, and `validate` may be anything.


class Fitted:
    """`fit` on a tiny model with validation scores given beforehand."""

    def __init__(self, place, root, changes=None):
        self.settings = tiny(changes)
        words = Tokenizer.load(place["tokenizer"])
        loop.seed_epoch(1, 0)
        self.model = build_model(self.settings, len(words))
        self.batches = batches(place, root, self.settings, "train", self.model.cnn)
        self.root, self.logged = root, []

    def __call__(self, scores):
        scores = iter(scores)
        with TrainingState(self.root / "state") as state:
            return fit(
                self.model, self.batches, settings=self.settings,
                fabric=Fabric(accelerator="cpu", devices=1), state=state,
                validate=lambda model: {"length_penalty": 0.0, SELECTION: next(scores)},
                log=lambda epoch, numbers: self.logged.append((epoch, numbers)),
            )  # fmt: skip


@pytest.mark.parametrize(
    ("patience", "scores", "epochs", "best"),
    [
        (None, [0.3, 0.2, 0.1, 0.1, 0.1], 5, 1),
        (1, [0.1, 0.2, 0.1, 0.3, 0.3], 3, 2),
        (2, [0.1, 0.2, 0.1, 0.3, 0.3], 5, 4),
        (2, [0.3, 0.3, 0.3, 0.3, 0.3], 3, 1),  # an equal score is no better one
        (9, [0.1, 0.2, 0.3, 0.4, 0.5], 5, 5),
    ],
)
def test_patience_ends_a_training_and_the_first_of_equal_epochs_is_best(
    patience, scores, epochs, best, place, tmp_path
):
    changes = TRANSFORMER | {"train.epochs": 5, "train.patience": patience}
    fitted = Fitted(place, tmp_path, changes)
    progress = fitted(scores)
    assert (progress.epoch, progress.best["epoch"]) == (epochs, best)
    assert len(progress.history) == len(fitted.logged) == epochs
    assert fitted(scores).epoch == epochs  # again, from its state: nothing is left to do
    assert len(fitted.logged) == epochs


def test_the_log_gets_the_history_and_the_speed(place, tmp_path):
    fitted = Fitted(place, tmp_path, {"train.epochs": 2})
    progress = fitted([0.1, 0.2])
    assert [epoch for epoch, _ in fitted.logged] == [1, 2]
    for (epoch, numbers), row in zip(fitted.logged, progress.history, strict=True):
        speed = numbers.pop("images_per_second")
        assert speed > 0
        assert {"epoch": epoch, **numbers} == row
        assert all(isinstance(value, int | float) for value in numbers.values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_it_and_the_epoch_before_is_kept(
    bad, place, tmp_path, monkeypatch
):
    changes = TRANSFORMER | {"train.epochs": 3}
    whole = Fitted(place, tmp_path / "whole", changes)
    whole([0.1, 0.2, 0.3])

    joint_loss, steps = loop.joint_loss, 0

    def fail(*arguments, **named):
        nonlocal steps
        steps += 1
        losses = joint_loss(*arguments, **named)
        if steps == 5:  # the second step of epoch 2
            losses["loss"] = losses["loss"] * bad
        return losses

    fitted = Fitted(place, tmp_path / "cut", changes)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "joint_loss", fail)
        with pytest.raises(UserError, match=r"in epoch 2: lower train\.lr") as caught:
            fitted([0.1, 0.2, 0.3])
    assert "\n" not in str(caught.value)
    again = Fitted(place, tmp_path / "cut", changes)
    again([0.2, 0.3])
    assert [epoch for epoch, _ in again.logged] == [2, 3]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_a_learning_rate_far_too_high_is_told_and_leaves_no_run(place, tmp_path):
    changes = {"train.lr": 1e30, "train.lr_visual": 1e30, "train.clip_norm": None}
    with pytest.raises(UserError, match="lower train.lr and train.lr_visual"):
        run(place, tmp_path, changes)
    assert not (tmp_path / "run").exists()


def test_gradients_are_clipped_to_the_norm_that_is_asked_for(place, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def look(self, *arguments, **named):
        gradients = [
            p.grad for g in self.param_groups for p in g["params"] if p.grad is not None
        ]
        norms.append(math.sqrt(sum(float(g.square().sum()) for g in gradients)))
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", look)
    Fitted(place, tmp_path, {"train.epochs": 1, "train.clip_norm": 0.01})([0.1])
    assert norms and max(norms) == pytest.approx(0.01, rel=1e-3)


TWO_PROCESSES = """
import os, sys, torch
from pathlib import Path
from tiny import tiny
from rcan.training import train

torch.set_num_threads(1)
processed, tokenizer, root = map(Path, sys.argv[1:])
print("log of", os.environ.get("LOCAL_RANK", "0"))
train.train(
    tiny({"train.devices": 2, "train.epochs": 2}), processed=processed, tokenizer=tokenizer,
    out=root / "run", root=root,
    log_to=lambda key: lambda epoch, numbers: print("logged", epoch, flush=True),
)
"""


def test_two_processes_train_one_model(place, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, script, *place.values(), tmp_path], cwd=TOP, timeout=180,
        env={**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'tests'}", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("logged")] == [
        "logged 1", "logged 2",
    ]  # fmt: skip
    model, settings, best = load_run(
        tmp_path / "run", len(Tokenizer.load(place["tokenizer"]))
    )
    assert best["epoch"] in (1, 2) and settings.train.devices == 2
    assert list((tmp_path / ".rcan" / "checkpoints").iterdir()) == []
