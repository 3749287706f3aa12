"""The wrong images: everybody another's, in an order that is the same for every run."""

import pytest

from rcan.evaluation.controls import swap
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
