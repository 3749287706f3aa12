"""Training from end to end at its smallest: it learns, it chooses, and it stops as it should."""

import csv
import json
import os
import subprocess
import sys

import pytest
import torch
from tiny import R2GENCMN, TOP, TRANSFORMER, batches_of, prepare, tiny, train_tiny

from rcan.errors import UserError
from rcan.generation.generate import write_reports
from rcan.model.build import build_model
from rcan.text.tokenizer import Tokenizer
from rcan.training import devices, loop, train
from rcan.training.checkpoint import read_tensors
from rcan.training.loop import SELECTION
from rcan.training.run_folder import load_run

LEARNING = {
    "train.epochs": 6, "train.lr": 0.01, "train.schedule": "exponential",
    "train.choose": "best",  # the epoch is the one with the highest score
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


def run(place, root, changes=None):
    """Train into `root`/run; settings, history (text) and best.json."""
    train_tiny(place, root, changes)
    with (root / "run" / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    return tiny(changes), history, json.loads((root / "run" / "best.json").read_text())


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


def test_the_best_weights_are_those_of_the_epoch_that_scored_best(place, tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.2])  # an epoch each
    monkeypatch.setattr(train, "bleu_of_constant", lambda *_: 0.05)
    monkeypatch.setattr(train, "is_collapsed", lambda _: False)
    monkeypatch.setattr(train, "bleu", lambda *_: {"BLEU-4": next(scores)})
    kept = {}

    def keep(epoch):
        (state,) = tmp_path.glob(".rcan/checkpoints/*/last.safetensors")
        kept[epoch] = read_tensors(state)[0]

    train_tiny(place, tmp_path, on_epoch=keep)
    for name, epoch in (("best", 2), ("last", 3)):
        weights, _ = read_tensors(tmp_path / "run" / f"{name}.safetensors")
        for key, value in weights.items():
            assert torch.equal(value, kept[epoch][f"model.{key}"]), (name, key)
    assert json.loads((tmp_path / "run" / "best.json").read_text())["epoch"] == 2


def test_the_length_penalty_is_the_first_with_the_best_validation_bleu_4(
    place, tmp_path, monkeypatch
):
    scores = [0.1, 0.3, 0.2, 0.3, 0.0]  # of one epoch, a penalty each
    scored = iter(scores)
    monkeypatch.setattr(train, "bleu_of_constant", lambda *_: 0.05)
    monkeypatch.setattr(train, "bleu", lambda *_: {"BLEU-4": next(scored)})
    penalties = [0.0, 0.5, 1.0, 2.0, 3.0]
    changes = {"train.epochs": 1, "generate.length_penalty": penalties}
    settings, _, best = run(place, tmp_path, TRANSFORMER | changes)
    assert (best["length_penalty"], best[SELECTION]) == (0.5, 0.3)

    # The test split is written under that penalty alone: the same reports.
    words = Tokenizer.load(place["tokenizer"])
    model, _, _ = load_run(tmp_path / "run", len(words))
    inputs = batches_of(place, tmp_path, settings, "test", model.visual)
    by_penalty = write_reports(model, inputs.in_order(), words, settings.generate)
    assert len(by_penalty) == len(penalties)
    of_one = write_reports(model, inputs.in_order(), words, settings.generate, penalties=[0.5])
    assert of_one == [by_penalty[1]]


def test_a_frozen_cnn_keeps_its_weights_and_evaluation_reads_the_features_of_training(
    place, tmp_path
):
    changes = {"visual.frozen": True, "visual.feature_window": 4}
    settings, _, _ = run(place, tmp_path, changes)
    features = tmp_path / "data" / "work" / "features"
    before = {path: path.read_bytes() for path in features.rglob("*.npy")}
    assert sorted(path.name for path in before) == ["train.npy", "val.npy"]

    words = Tokenizer.load(place["tokenizer"])
    model, trained, _ = load_run(tmp_path / "run", len(words))
    loop.seed_epoch(settings.train.seed, 0)
    fresh = build_model(settings, len(words))
    for name, value in fresh.visual.cnn.state_dict().items():
        assert torch.equal(value, model.visual.cnn.state_dict()[name]), name

    in_evaluation = next(batches_of(place, tmp_path, trained, "val", model.visual).in_order())
    in_training = next(batches_of(place, tmp_path, settings, "val", fresh.visual).in_order())
    assert torch.equal(in_evaluation.images, in_training.images)
    assert {path: path.read_bytes() for path in features.rglob("*.npy")} == before
    batches_of(place, tmp_path, trained, "test", model.visual)
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
    assert all(not torch.equal(one[name], two[name]) for name in one if one[name].dim() > 1)


@pytest.mark.parametrize("token_grid", [None, 2])
def test_a_window_larger_than_the_kept_map_is_told(token_grid, place, tmp_path):
    changes = {"visual.frozen": True, "visual.feature_window": 8, "visual.token_grid": token_grid}
    with pytest.raises(
        UserError, match=r"visual\.feature_window is 8; it must be at most 7: the map"
    ):
        run(place, tmp_path, changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_told_in_one_line(place, tmp_path):
    with pytest.raises(UserError, match=r"train\.accelerator") as caught:
        run(place, tmp_path, {"train.accelerator": "cuda"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("avx512_bf16", "amx"), [(False, False), (True, False), (False, True)])
def test_bfloat16_that_the_processor_would_imitate_is_refused(
    avx512_bf16, amx, place, tmp_path, monkeypatch
):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    settings = tiny({"train.precision": "bf16-mixed"})
    assert devices.cpu_has_bf16() is (avx512_bf16 or amx)
    devices.require_bf16(settings, "cuda")
    if devices.cpu_has_bf16():
        devices.require_bf16(settings, "cpu")
        return
    with pytest.raises(UserError, match=r"bf16-mixed, but this processor .* auto or 32-true"):
        train_tiny(place, tmp_path, {"train.precision": "bf16-mixed"})


def test_training_and_evaluation_compute_on_the_threads_of_the_settings(place, tmp_path):
    for threads in (2, 1):
        train_tiny(place, tmp_path / str(threads), {"train.threads": threads, "train.epochs": 1})
        assert torch.get_num_threads() == threads
        told = json.loads((tmp_path / str(threads) / "run" / "best.json").read_text())["trained_on"]
        assert told.startswith("cpu ") and told.endswith(
            f", {threads} thread" + "s" * (threads > 1)
        )
    words = Tokenizer.load(place["tokenizer"])
    load_run(tmp_path / "2" / "run", len(words))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_a_learning_rate_far_too_high_is_told_and_leaves_no_run(place, tmp_path):
    changes = {"train.lr": 1e30, "train.lr_visual": 1e30, "train.clip_norm": None}
    with pytest.raises(UserError, match="lower train"):
        run(place, tmp_path, changes)
    assert not (tmp_path / "run").exists()


TWO_PROCESSES = """
import sys, torch
from pathlib import Path
from tiny import tiny
from rcan.training import train

torch.set_num_threads(1)
processed, tokenizer, floors, root = map(Path, sys.argv[1:])
train.train(
    tiny({"train.devices": 2, "train.epochs": 2}), processed=processed, tokenizer=tokenizer,
    floors=floors, out=root / "run", root=root,
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
    _, settings, best = load_run(tmp_path / "run", len(Tokenizer.load(place["tokenizer"])))
    assert best["epoch"] in (1, 2) and settings.train.devices == 2
    assert len(list((tmp_path / ".rcan" / "checkpoints").iterdir())) == 1
