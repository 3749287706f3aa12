"""The training loop by itself: it knows no tokenizer, and `validate` may be anything."""

import io
import math
import re

import pytest
import torch
from lightning_fabric import Fabric
from tiny import TRANSFORMER, batches_of, prepare, tiny
from tqdm import tqdm

from rcan.errors import UserError
from rcan.model.build import build_model
from rcan.model.interface import Alone
from rcan.text.tokenizer import Tokenizer
from rcan.training import loop
from rcan.training.checkpoint import TrainingState
from rcan.training.loop import SELECTION, fit


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


def validated(score: float) -> dict[str, float]:
    """What validation gives; a negative score is that of a collapsed model."""
    return {
        "length_penalty": 0.0, SELECTION: abs(score), "val_distinct_reports": 4,
        "val_top_share": 0.25, "val_collapsed": int(score < 0),
    }  # fmt: skip


class Fitted:
    """`fit` on a tiny model with validation scores given beforehand."""

    def __init__(self, place, root, changes=None):
        self.settings = tiny(changes)
        words = Tokenizer.load(place["tokenizer"])
        loop.seed_epoch(1, 0)
        self.model = build_model(self.settings, len(words))
        self.batches = batches_of(place, root, self.settings, "train", self.model.visual)
        self.root, self.logged = root, []

    def __call__(self, scores):
        scores = iter(scores)
        with TrainingState(self.root / "state") as state:
            return fit(
                self.model, self.batches, settings=self.settings,
                fabric=Fabric(accelerator="cpu", devices=1), state=state,
                validate=lambda model: validated(next(scores)), floor=0.05,
                log=lambda epoch, numbers: self.logged.append((epoch, numbers)),
                rewarded=lambda read, batch, _: self.model.losses(read(batch), batch, Alone()),
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


@pytest.mark.parametrize(
    ("patience", "scores", "epochs", "best"),
    [
        (1, [0.3, 0.2, 0.1, 0.1], 6, 3),  # neither pre-training nor words end it: rewards come
        (2, [0.1, 0.3, 0.2, 0.1, 0.4, 0.1], 8, 7),  # rewards begin with all of it
        (2, [0.1, 0.2, 0.3, 0.1, 0.1], 7, 5),
        (None, [0.3, 0.2, 0.1, 0.1, 0.1, 0.1], 8, 3),
    ],
)
def test_pre_training_is_not_validated_and_each_phase_has_its_own_patience(
    patience, scores, epochs, best, place, tmp_path, monkeypatch
):
    phases = ["pretrain"] * 3 + ["words"] * 3 + ["reward"] * 3
    monkeypatch.setattr(loop, "phase_of", lambda settings, epoch: phases[epoch])
    fitted = Fitted(place, tmp_path, TRANSFORMER | {"train.epochs": 8, "train.patience": patience})
    progress = fitted(scores)
    assert (progress.epoch, progress.best["epoch"]) == (epochs, best)
    assert [row.get(SELECTION) for row in progress.history] == [None, None, *scores]
    assert fitted([]) == progress  # again, from its state


def test_words_out_of_patience_go_on_to_rewards_after_a_stop(place, tmp_path, monkeypatch):
    phases = ["words"] * 5 + ["reward"] * 3
    monkeypatch.setattr(loop, "phase_of", lambda settings, epoch: phases[epoch])
    fitted = Fitted(place, tmp_path, TRANSFORMER | {"train.epochs": 7, "train.patience": 1})
    with pytest.raises(StopIteration):
        fitted([0.3, 0.2, 0.1])
    assert fitted([0.1, 0.1]).epoch == 5


def test_the_log_gets_the_history_and_the_speed(place, tmp_path):
    fitted = Fitted(place, tmp_path, {"train.epochs": 2})
    progress = fitted([0.1, 0.2])
    assert [epoch for epoch, _ in fitted.logged] == [1, 2]
    for (epoch, numbers), row in zip(fitted.logged, progress.history, strict=True):
        speed = numbers.pop("images_per_second")
        assert speed > 0
        assert {"epoch": epoch, **numbers} == row
        assert all(isinstance(value, int | float) for value in numbers.values())


def test_an_epoch_tells_the_model_its_phase_and_keeps_that_phases_losses(
    place, tmp_path, monkeypatch
):
    fitted = Fitted(place, tmp_path, TRANSFORMER | {"train.epochs": 2})
    monkeypatch.setattr(type(fitted.settings.family), "pretrain_share", 0.5)
    losses_of, model = fitted.model.losses, fitted.model
    monkeypatch.setattr(
        model, "losses", lambda *args: {f"loss_{model.phase}": torch.zeros(()), **losses_of(*args)}
    )
    progress = fitted([0.1, 0.2])
    assert [set(row) & {"loss_pretrain", "loss_words"} for row in progress.history] == [
        {"loss_pretrain"}, {"loss_words"},
    ]  # fmt: skip
    assert fitted([]).history == progress.history  # read again from its state


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_it_and_the_epoch_before_is_kept(
    bad, place, tmp_path, monkeypatch
):
    changes = TRANSFORMER | {"train.epochs": 3}
    whole = Fitted(place, tmp_path / "whole", changes)
    whole([0.1, 0.2, 0.3])

    fitted = Fitted(place, tmp_path / "cut", changes)
    losses_of, steps = fitted.model.losses, 0

    def fail(*arguments):
        nonlocal steps
        steps += 1
        losses = losses_of(*arguments)
        if steps == 5:  # the second step of epoch 2
            losses["loss"] = losses["loss"] * bad
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(fitted.model, "losses", fail)
        with pytest.raises(UserError, match=r"in epoch 2: lower train\.lr") as caught:
            fitted([0.1, 0.2, 0.3])
    assert "\n" not in str(caught.value)
    again = Fitted(place, tmp_path / "cut", changes)
    again([0.2, 0.3])
    assert [epoch for epoch, _ in again.logged] == [2, 3]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_gradients_are_clipped_to_the_norm_that_is_asked_for(place, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def look(self, *arguments, **named):
        gradients = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norms.append(math.sqrt(sum(float(g.square().sum()) for g in gradients)))
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", look)
    Fitted(place, tmp_path, {"train.epochs": 1, "train.clip_norm": 0.01})([0.1])
    assert norms and max(norms) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("choose", "scores", "best"),
    [
        ("best", [-0.3, 0.2, 0.1], 1),
        ("varied", [-0.3, 0.2, 0.1], 2),  # the varied epoch, though it scores lower
        ("varied", [0.1, -0.3, 0.2], 3),
        ("varied", [-0.1, -0.3, -0.2], 2),  # all collapsed: the best of them
        ("last", [0.3, 0.2, -0.1], 3),
    ],
)
def test_the_epoch_that_is_kept(choose, scores, best, place, tmp_path):
    changes = TRANSFORMER | {"train.epochs": 3, "train.choose": choose}
    assert Fitted(place, tmp_path, changes)(scores).best["epoch"] == best


def test_a_terminal_sees_images_and_losses(place, tmp_path, monkeypatch):
    drawn = io.StringIO()

    def bar(total, name, fabric):
        return tqdm(total=total, desc=name, unit="image", file=drawn, mininterval=0)

    monkeypatch.setattr(loop, "_progress_bar", bar)
    Fitted(place, tmp_path, {"train.epochs": 1})([0.1])
    last = drawn.getvalue().split("\r")[-1]
    assert "epoch 1/1: 100%" in last and "24/24" in last
    assert re.search(r"loss=\d\.\d{3}.*loss_ce=\d\.\d{3}.*lr=\d\.\de-\d\d", last)
