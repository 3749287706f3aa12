"""Which studies are scored apart, and what share of a split they are."""

import pytest
from iu_labels import labelled

from rcan.data.store import Study
from rcan.evaluation.controls import group_shares, groups_of
from rcan.evaluation.labelers import LABELERS

TRAIN = ["the lungs are clear .", "large heart ."]


def studies(*of: tuple[str, tuple[str, ...] | None]) -> list[Study]:
    return [Study(f"s{i}", "test", text, text, (), labels) for i, (text, labels) in enumerate(of)]


FIVE = studies(
    ("the  lungs are clear .", ("normal",)),  # spaces are no words
    ("large heart .", ("cardiomegaly",)),
    ("large heart , left effusion .", ("cardiomegaly", "pleural effusion")),
    ("the lungs are clear", ("no indexing",)),  # a full stop is one
    ("large heart .", None),
)


def test_studies_go_by_their_report_in_train_and_by_their_labels():
    groups = groups_of(FIVE, TRAIN, LABELERS["iu_xray"])
    assert {name: rows.tolist() for name, rows in groups.items()} == {
        "in_train": [0, 1, 4],
        "not_in_train": [2, 3],
        "normal": [0],
        "abnormal": [1, 2],
    }


def test_shares_of_normal_ones_are_of_those_that_are_known():
    assert group_shares(FIVE, TRAIN, LABELERS["iu_xray"]) == {
        "num_studies": 5,
        "in_train": 3 / 5,
        "normal": 1 / 3,
    }


@pytest.mark.parametrize("labeler", [None, LABELERS["demo"]])
def test_without_labels_nothing_is_called_normal(labeler):
    unknown = studies(("large heart .", None), ("small heart .", None))
    groups = groups_of(unknown, TRAIN, labeler)
    assert {name: rows.tolist() for name, rows in groups.items()} == {
        "in_train": [0],
        "not_in_train": [1],
    }
    assert group_shares(unknown, TRAIN, labeler) == {"num_studies": 2, "in_train": 0.5}


def test_a_group_that_nobody_is_in_is_left_out():
    assert set(groups_of(studies(("new .", ())), TRAIN, LABELERS["demo"])) == {
        "not_in_train",
        "normal",
    }
    assert group_shares(studies(("new .", ())), TRAIN, LABELERS["demo"])["in_train"] == 0


def test_the_shares_of_iu_xray_are_those_that_are_known(shared):
    """277 of 590 test reports stand word for word in train; 52 % of test and 33 % of validation are
    normal, or 54 and 34 % of what was indexed at all."""
    split = labelled(shared)
    train = [study.text for study in split["train"]]
    shares = {}
    for name in ("val", "test"):
        shares[name] = group_shares(split[name], train, LABELERS["iu_xray"])
        shares[name]["of all"] = sum(s.labels == ("normal",) for s in split[name]) / len(
            split[name]
        )
    assert (shares["test"]["num_studies"], shares["test"]["in_train"]) == (590, 277 / 590)
    for share, expected in (("of all", (0.33, 0.52)), ("normal", (0.34, 0.54))):
        assert (round(shares["val"][share], 2), round(shares["test"][share], 2)) == expected
