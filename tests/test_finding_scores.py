"""Precision, recall and F1 of findings, with numbers worked out by hand."""

import numpy as np
import pytest

from rcan.evaluation.finding_scores import accuracy, compare_findings
from rcan.evaluation.labelers import Labeler

OPTIONS = {"resamples": 200, "seed": 1}
NAMES = ("heart", "fluid", "line", "nodule")


def sets(*texts: str) -> list[frozenset[str]]:
    return [frozenset(text.split()) for text in texts]


KNOWN = sets("heart", "heart fluid", "fluid", "", "heart", "")
FOUND = sets("heart", "fluid", "fluid line", "line", "heart fluid", "")


def scores_of(value: dict) -> tuple:
    return tuple(value[name]["score"] for name in ("precision", "recall", "f1"))


def test_counts_and_scores_of_each_finding_by_hand():
    each = accuracy(FOUND, KNOWN, NAMES, **OPTIONS)["per_finding"]
    assert list(each) == list(NAMES)
    counts = {n: (v["positives"], v["predicted"], v["hits"]) for n, v in each.items()}
    assert counts == {
        "heart": (3, 2, 2),
        "fluid": (2, 3, 2),
        "line": (0, 2, 0),
        "nodule": (0, 0, 0),
    }
    assert scores_of(each["heart"]) == pytest.approx((1, 2 / 3, 0.8))
    assert scores_of(each["fluid"]) == pytest.approx((2 / 3, 1, 0.8))
    assert scores_of(each["line"]) == (0, None, 0)  # nobody has it: recall is 0 / 0
    assert scores_of(each["nodule"]) == (None, None, None)
    assert each["nodule"]["f1"] == {"score": None, "low": None, "high": None}


def test_macro_is_over_what_some_study_has_and_micro_over_all():
    found = accuracy(FOUND, KNOWN, NAMES, **OPTIONS)
    # heart and fluid alone; the line that nobody has costs micro precision: 4 of 7 told are right
    assert scores_of(found["macro"]) == pytest.approx((5 / 6, 5 / 6, 0.8))
    assert scores_of(found["micro"]) == pytest.approx((4 / 7, 4 / 5, 8 / 12))


def test_a_model_that_never_tells_of_a_finding_is_not_spared_it():
    found = accuracy(sets("heart", "", ""), sets("heart", "fluid", ""), NAMES, **OPTIONS)
    assert scores_of(found["macro"]) == pytest.approx((0.5, 0.5, 0.5))
    assert scores_of(found["per_finding"]["fluid"]) == (None, 0, 0)


def test_reports_without_any_finding_have_no_precision_and_no_f1_but_0():
    found = accuracy(sets("", "", ""), sets("heart", "fluid", ""), NAMES, **OPTIONS)
    assert scores_of(found["micro"]) == (None, 0, 0)
    assert scores_of(found["macro"]) == (0, 0, 0)


def test_where_no_study_has_anything_there_is_no_score():
    found = accuracy(sets("", ""), sets("", ""), NAMES, **OPTIONS)
    assert scores_of(found["macro"]) == scores_of(found["micro"]) == (None, None, None)


def test_an_interval_is_that_of_the_resampled_studies():
    draw = np.random.default_rng(3)
    known, found = (
        [frozenset(name for name in NAMES[:2] if draw.random() < 0.4) for _ in range(40)]
        for _ in range(2)
    )
    told = accuracy(found, known, NAMES[:2], resamples=60, seed=9)
    again = []
    for times in np.random.default_rng(9).multinomial(40, np.full(40, 1 / 40), 60):
        rows = np.repeat(np.arange(40), times)
        drawn = accuracy([found[r] for r in rows], [known[r] for r in rows], NAMES[:2], **OPTIONS)
        again.append([drawn[kind]["f1"]["score"] for kind in ("macro", "micro")])
    for kind, values in zip(("macro", "micro"), np.transpose(again), strict=True):
        value = told[kind]["f1"]
        assert (value["low"], value["high"]) == pytest.approx(
            tuple(np.percentile(values, [2.5, 97.5]))
        )
        assert value["low"] < value["score"] < value["high"]


READS = Labeler(
    name="words",
    findings=NAMES,
    read=lambda text: frozenset(text.split()) & set(NAMES),
    known=lambda labels: None if "?" in labels else frozenset(x.split("/")[0] for x in labels),
    normal=lambda labels: not labels,
)
EXACTLY = Labeler(
    **{**vars(READS), "read_exactly": lambda text: frozenset(w for w in text.split() if "/" in w)}
)
LABELS = [("heart",), None, ("?",), ()]


def test_only_studies_with_labels_count():
    systems = {"model": ["heart", "fluid", "fluid", "line"], "references": ["heart", "", "", ""]}
    found = compare_findings(READS, systems, LABELS, **OPTIONS)
    assert set(found) == {"labeler", "num_studies", "model", "references"}
    assert (found["labeler"], found["num_studies"]) == ("words", 2)
    assert scores_of(found["model"]["micro"]) == (0.5, 1, pytest.approx(2 / 3))
    assert scores_of(found["references"]["micro"]) == (1, 1, 1)
    assert found["model"]["per_finding"]["fluid"]["predicted"] == 0


def test_no_labels_no_findings():
    assert compare_findings(READS, {"model": ["heart"] * 2}, [None, ("?",)], **OPTIONS) is None


def test_with_attributes_a_finding_on_the_wrong_side_is_none():
    systems = {"model": ["nodule/left fluid/right", "nodule/left"]}
    labels = [("nodule/right", "fluid/right"), ()]
    found = compare_findings(EXACTLY, systems, labels, **OPTIONS)["with_attributes"]
    assert scores_of(found["model"]) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
