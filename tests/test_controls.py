"""The image swap, the same for every run, and the studies that are scored apart."""

import pytest
from iu_labels import labelled

from rcan.data.store import Study
from rcan.evaluation.controls import group_shares, groups_of, swap
from rcan.evaluation.labelers import LABELERS
from rcan.evaluation.scores import score


@pytest.mark.parametrize("number", [2, 3, 10, 590])
def test_everybody_gets_anothers_prediction_and_every_prediction_is_used_once(number):
    texts = [f"report {study}" for study in range(number)]
    swapped = swap(texts)
    assert sorted(swapped) == sorted(texts)
    assert not [text for text, other in zip(texts, swapped, strict=True) if text == other]


def test_the_order_depends_on_the_number_of_studies_alone():
    orders = [swap(list("abcdef")), swap(list("abcdef")), [s.lower() for s in swap(list("ABCDEF"))]]
    assert orders[0] == orders[1] == orders[2] != sorted(orders[0])


def test_it_is_one_ring_so_that_no_two_studies_just_change_places():
    place, seen = 0, set()
    order = [int(text) for text in swap([str(study) for study in range(50)])]
    while place not in seen:
        seen.add(place)
        place = order[place]
    assert len(seen) == 50


def test_who_looks_falls_and_who_writes_the_same_for_everybody_does_not():
    references = ["left effusion .", "large heart .", "clear lungs .", "right nodule seen ."]
    for written, falls in ((references, True), (["clear lungs ."] * 4, False)):
        right, wrong = (
            score(texts, references, meteor=False).corpus["BLEU-1"]
            for texts in (written, swap(written))
        )
        assert (wrong < right) == falls


def test_a_study_alone_has_no_others_prediction():
    assert swap(["clear ."]) == ["clear ."] and swap([]) == []


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
