"""Controls from findings alone: the head, the thresholds, the texts, and what is chosen."""

import json
import math

import numpy as np
import pytest
import torch
import yaml
from java_programs import python_java
from tiny import TINY, changed, prepare, tiny

from pipeline import controls as stage
from rcan.ablation.cells import CONTROLS
from rcan.config import load_settings
from rcan.controls.finding_controls import OFFSETS, Ground, choose, fit_controls, has_labels
from rcan.controls.finding_head import Space, best_thresholds, fit_head, study_features
from rcan.controls.finding_texts import FittedTexts, Template, sentences_with_stops
from rcan.data.store import Split, Study, View
from rcan.evaluation import meteor
from rcan.evaluation.labelers import DEMO
from rcan.training.devices import processor
from rcan.training.logistic import fit_logistic

HEART, BIG = "heart size is normal .", "there is mild cardiomegaly ."
LUNGS, LINE = "no nodule .", "a left pacemaker is in place ."
CARDIO, PACED = "cardiomegaly", "pacemaker"


def study(number: int, labels: tuple[str, ...] | None, *projections: str) -> Study:
    first = [BIG if labels and CARDIO in labels[0] else HEART]
    rest = [LINE] if labels and PACED in labels[-1] else [LUNGS]
    text = " ".join(first + rest)
    views = tuple(View(2 * number + k, name) for k, name in enumerate(projections))
    return Study(f"study-{number}", "train", text, text, views, labels)


def split_of(labels: list[tuple[str, ...] | None]) -> Split:
    """A study whose heart is large is bright on the left of its frontal view, the second one."""
    studies = [study(n, found, "lateral", "frontal") for n, found in enumerate(labels)]
    images = np.random.default_rng(0).integers(0, 60, (2 * len(labels), 8, 8)).astype(np.uint8)
    for number, found in enumerate(labels):
        images[2 * number + 1, :, :4] += np.uint8(150 * any(CARDIO in each for each in found or ()))
    return Split("train", studies, images)


LARGE, NORMAL = ("cardiomegaly/mild",), ()
TRAIN = split_of([LARGE, NORMAL, NORMAL, ("cardiomegaly/mild", "pacemaker/left")] * 30)


def test_frontal_views_come_first_and_the_last_one_is_repeated():
    source = np.arange(3 * 16).reshape(3, 4, 4).astype(np.uint8)
    both = Study("a", "train", "", "", (View(0, "lateral"), View(1, "frontal")))
    alone = Study("b", "train", "", "", (View(2, None),))
    found = study_features(Split("train", [both, alone], source), source, 2, side=2)
    means = [[2.5, 4.5, 10.5, 12.5], [18.5, 20.5, 26.5, 28.5], [34.5, 36.5, 42.5, 44.5]]
    assert found.tolist() == [means[1] + means[0], means[2] + means[2]]


def test_the_space_of_train_keeps_every_distance_and_takes_other_studies():
    X = np.random.default_rng(1).normal(size=(6, 20)).astype(np.float32)
    space = Space(X)
    scaled = (X - X.mean(0)) / X.std(0, ddof=1)
    assert torch.cdist(space.train, space.train).numpy() == pytest.approx(
        np.linalg.norm(scaled[:, None] - scaled[None], axis=-1), abs=1e-4
    )
    assert space.of(X).numpy() == pytest.approx(space.train.numpy(), abs=1e-4)


def test_the_fit_is_the_optimum_of_the_penalised_loss():
    """Z = ±1 with Y = 1 in 3 of 4 and 1 of 4: the gradient .5 tanh(w/2)·... vanishes there."""
    Z = torch.tensor([[1.0]] * 4 + [[-1.0]] * 4)
    Y = torch.tensor([[1.0], [1.0], [1.0], [0.0], [1.0], [0.0], [0.0], [0.0]])
    w, b = fit_logistic(Z, Y, 0.1).flatten().tolist()
    assert b == pytest.approx(0, abs=1e-4)
    assert 1 / (1 + math.exp(-w)) + 0.1 * w == pytest.approx(0.75, abs=1e-4)


def test_a_threshold_is_where_f1_is_best():
    """F1 of the first alone is 2/3, of three .8, of all 2/3: so half way to the fourth."""
    logits = torch.tensor([[3.0], [2.0], [1.0], [0.0]])
    there = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    assert best_thresholds(logits, there).tolist() == [0.5]


def test_held_out_logits_are_of_heads_that_have_not_seen_the_study():
    """Of pure noise a head that had seen them would know the answers."""
    chance = np.random.default_rng(2)
    Z = torch.from_numpy(chance.normal(size=(60, 50))).float()
    Y = torch.from_numpy(chance.integers(0, 2, (60, 1))).float()
    head, logits = fit_head(Z, Y, seed=1)
    hits = ((logits > 0) == (Y > 0)).float().mean()
    assert 0.25 < hits < 0.75
    again, _ = fit_head(Z, Y, seed=1)
    assert torch.equal(again.weights, head.weights)


def test_a_template_says_what_is_there_and_nothing_against_it():
    known = [frozenset(DEMO.known(s.labels)) for s in TRAIN.studies]
    template = Template(f"{HEART} {LUNGS}", [s.text for s in TRAIN.studies], known, DEMO)
    assert template.text(frozenset()) == f"{HEART} {LUNGS}"
    # The heart is called normal in none of 60 reports of a large one, as against 30 by chance.
    assert template.text(frozenset({CARDIO})) == f"{LUNGS} {BIG}"
    assert template.text(frozenset({CARDIO, PACED})) == f"{BIG} {LINE}"
    assert template.text(frozenset({"scoliosis"})) == f"{HEART} {LUNGS}"  # train never names it


def test_a_template_drops_what_its_constant_wrongly_names():
    known = [frozenset(DEMO.known(s.labels)) for s in TRAIN.studies]
    template = Template(f"{BIG} {LUNGS}", [s.text for s in TRAIN.studies], known, DEMO)
    assert template.text(frozenset()) == LUNGS
    assert template.text(frozenset({CARDIO})) == f"{BIG} {LUNGS}"


def test_a_fitted_text_is_that_of_the_studies_most_alike():
    known = [frozenset(DEMO.known(s.labels)) for s in TRAIN.studies]
    fitted = FittedTexts([s.text for s in TRAIN.studies], known, DEMO.findings)
    assert fitted.text(frozenset()) == f"{HEART} {LUNGS}"
    assert sentences_with_stops(fitted.text(frozenset({CARDIO, PACED})))[0] == BIG


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([(0.20, 0.4), (0.21, 0.3), (0.21, 0.1)], 1),  # free, and the best F1 of these
        ([(0.20, 0.4), (0.19, 0.5), (0.18, 0.1)], 0),  # none is free: the best BLEU-4
    ],
)
def test_validation_chooses_the_best_f1_that_costs_no_bleu(rows, place):
    trials = [{"val_BLEU-4": bleu, "val_finding_f1": f1} for bleu, f1 in rows]
    assert choose(trials, floor=0.205) == place


def test_every_control_is_fitted_sees_what_it_should_and_no_more():
    def features(split):
        return study_features(split, split.images, 2, side=2)

    val = split_of([LARGE, NORMAL, None])
    texts = [s.text for s in val.studies]
    ground = Ground(TRAIN, val, texts, f"{HEART} {LUNGS}", DEMO, features)
    controls = list(fit_controls(ground, (1, 2, 3)))
    assert {
        name: tuple(c.seed for c in controls if c.name == name) for name in CONTROLS
    } == CONTROLS
    for control in controls:
        written = [set(sentences_with_stops(text)) for text in control.write(val)]
        assert written[:2] == [{LUNGS, BIG}, {HEART, LUNGS}], control.name
        assert len(control.trials) == (len(OFFSETS) if control.name == "finding_template" else 1)
    # The head goes by the image and no label, an oracle by the label and no image.
    swapped = Split("val", val.studies, val.images[[2, 3, 0, 1, 4, 5]])
    assert controls[-1].write(swapped)[0] == f"{HEART} {LUNGS}"
    assert controls[0].write(swapped) == controls[0].write(val)


def test_without_labels_there_is_nothing_to_fit():
    nobody = split_of([None, None])
    assert has_labels(TRAIN, DEMO) and not has_labels(nobody, DEMO) and not has_labels(TRAIN, None)


def test_the_stage_computes_on_one_thread_and_says_so(empty_project, monkeypatch):
    prepare(empty_project / "data", tiny())
    (empty_project / "params.yaml").write_text(yaml.safe_dump(changed(TINY)), encoding="utf-8")
    java = python_java(empty_project / "java")
    monkeypatch.setattr(meteor, "_find_java", lambda _: str(java))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        stage.main(load_settings())
        told = processor(torch.device("cpu"))
    finally:
        torch.set_num_threads(before)
    found = [json.loads(path.read_text()) for path in empty_project.glob("runs/*/best.json")]
    assert len(found) == sum(map(len, CONTROLS.values()))
    assert told.endswith(", 1 thread") and {best["trained_on"] for best in found} == {told}
