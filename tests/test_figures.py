"""The figures draw what they are given, always in the same bytes."""

import matplotlib as mpl
import numpy as np
import pytest
from fabricated import history_of, scores_of
from matplotlib.axes import Axes
from PIL import Image

from rcan.reporting.examples import Example, examples_figure
from rcan.reporting.figures import scores_figure, training_curves
from rcan.reporting.layout import MAX_LINES


def drawn(path) -> np.ndarray:
    """A figure's pixels; it must have some ink, and a white rim: nothing runs off the edge."""
    pixels = np.asarray(Image.open(path).convert("L"))
    assert (pixels < 128).mean() > 0.002
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (rim == 255).all()
    return pixels


def curves(out, history=None, **changes) -> None:
    settings = {"title": "RVE on demo", "chosen_epoch": 9, "floor": 0.15, **changes}
    training_curves(history or history_of(), out=out, **settings)


@pytest.mark.parametrize("num_epochs", [1, 12, 100])
def test_training_curves_of_any_length(tmp_path, num_epochs):
    curves(tmp_path / "training.png", history_of(num_epochs), chosen_epoch=1)
    drawn(tmp_path / "training.png")


def test_training_without_the_contrastive_loss(tmp_path):
    history = [{**row, "loss_wcl": ""} for row in history_of()]
    curves(tmp_path / "training.png", history)
    drawn(tmp_path / "training.png")


def test_every_loss_of_any_family_is_drawn(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Axes, "set_ylabel", lambda _, label: told.append(label))
    curves(tmp_path / "rcan.png")
    history = [{**row, "loss_wcl": "", "loss_kl": 0.5} for row in history_of()]
    curves(tmp_path / "training.png", history)
    validation, ce = "validation BLEU-4", "training cross-entropy"
    assert told == [
        ce, "training contrastive loss", validation, ce, "training loss_kl", validation,
    ]  # fmt: skip


@pytest.mark.parametrize("data", ["demo", "iu_xray"])
def test_scores_with_and_without_a_published_row(tmp_path, data):
    scores_figure(scores_of(data), tmp_path / "scores.png")
    drawn(tmp_path / "scores.png")


def test_equal_input_gives_equal_files_whatever_the_users_own_style(tmp_path):
    curves(tmp_path / "one.png")
    scores_figure(scores_of(), tmp_path / "one-scores.png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        curves(tmp_path / "two.png")
        scores_figure(scores_of(), tmp_path / "two-scores.png")
    for kind in (".png", ".svg", "-scores.png"):
        first, second = ((tmp_path / f"{name}{kind}").read_bytes() for name in ("one", "two"))
        assert first == second
    assert b"<dc:date>" not in (tmp_path / "one.svg").read_bytes()


def test_examples_with_one_view_no_words_strange_words_and_far_too_many(tmp_path):
    image = np.full((32, 32), 90, np.uint8)
    panels = [
        Example("1 of 3", [image, image], ["frontal", "lateral"], "clear lungs .", "clear lungs ."),
        Example("2 of 3", [image], ["view"], "costs $5 and $6 <unk> \\frac", ""),
        Example("3 of 3", [image], ["view"], "word " * 2000, "w" * 60),
    ]
    examples_figure(panels, tmp_path / "examples.png")
    pixels = drawn(tmp_path / "examples.png")
    assert pixels.shape[0] < 110 * (0.75 + 3 * (0.42 + 0.32 + MAX_LINES * 0.21))


def test_words_that_differ_are_coloured(tmp_path):
    image = np.zeros((8, 8), np.uint8)
    saturation = []
    for prediction in ("the lungs are clear .", "the heart is large ."):
        panel = Example("1 of 1", [image], ["view"], "the lungs are clear .", prediction)
        examples_figure([panel], tmp_path / "examples.png")
        colours = np.asarray(Image.open(tmp_path / "examples.png").convert("HSV"))
        saturation.append((colours[..., 1] > 120).sum())
    assert saturation[1] > 1.2 * saturation[0]
