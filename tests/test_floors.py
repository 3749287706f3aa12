import itertools
import json

import numpy as np
import pytest

from rcan.errors import UserError
from rcan.evaluation import floors
from rcan.evaluation.bleu import bleu
from rcan.evaluation.floors import best_constant, most_frequent
from rcan.evaluation.protocols import reference
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

HEART, LUNGS, EFFUSION, SPINE = (
    "the heart is normal in size .",
    "the lungs are clear .",
    "there is no pleural effusion .",
    "mild changes of the spine .",
)
TRAIN = [f"{HEART} {LUNGS}", f"{HEART} {EFFUSION}", f"{LUNGS} {SPINE}", f"{HEART} {LUNGS}"] * 2
VAL = [f"{LUNGS} {HEART} {EFFUSION}", f"{LUNGS} {HEART}", f"{SPINE} {LUNGS} {HEART} {EFFUSION}"]


def bleu_4(text: str, references: list[str]) -> float:
    return bleu([text] * len(references), references)["BLEU-4"]


def test_the_most_frequent_report_wins_and_among_equals_the_first():
    assert most_frequent(TRAIN) == f"{HEART} {LUNGS}"
    assert most_frequent(["b .", "a ."]) == "b ."


def test_the_best_constant_is_the_best_of_all_orders_of_the_sentences():
    sentences = (HEART, LUNGS, EFFUSION, SPINE)
    every = [
        " ".join(chosen)
        for length in range(1, 5)
        for chosen in itertools.product(sentences, repeat=length)
    ]
    best = max(bleu_4(text, VAL) for text in every)
    assert bleu_4(best_constant(TRAIN, VAL), VAL) == pytest.approx(best)


def test_the_best_constant_is_the_same_twice():
    assert best_constant(TRAIN, VAL) == best_constant(TRAIN, VAL)


@pytest.mark.parametrize(
    "train",
    [
        [f"{HEART} {LUNGS}"],  # no sentence three times
        ["normal"],  # no full stop
        [" ."],  # an empty report, cleaned
        [""],
    ],
)
def test_tiny_data_sets_have_a_constant_too(train):
    best_constant(train, [f"{HEART} {LUNGS}"])


def test_a_sentence_is_found_where_none_is_frequent():
    assert best_constant([f"{HEART} {LUNGS}"], [f"{LUNGS} {HEART}"]) == f"{LUNGS} {HEART}"


def test_no_reports_are_told():
    with pytest.raises(UserError, match="expected train reports"):
        most_frequent([])
    with pytest.raises(UserError, match="got 0 and 1"):
        best_constant([], ["clear ."])
    with pytest.raises(UserError, match="got 1 and 0"):
        best_constant(["clear ."], [])


def test_on_iu_xray_the_constant_reaches_published_models(shared):
    annotation = json.loads((shared / "data" / "iu_xray" / "annotation.json").read_text())
    train, val = (
        [clean_iu_xray(study["report"]) for study in annotation[split]]
        for split in ("train", "val")
    )
    vocabulary = Tokenizer.train(train, 3).vocabulary
    references = [reference(text, "paper", vocabulary, 60) for text in val]
    assert bleu_4(best_constant(train, references, num_starts=4), references) >= 0.2


def test_the_look_up_gives_the_bleu_of_every_constant():
    draw = np.random.default_rng(1)
    words = ["the", "lungs", "are", "clear", "no"]

    def sentence() -> tuple[str, ...]:
        return (*draw.choice(words, draw.integers(1, 6)).tolist(), ".")

    def text(report) -> str:
        return " ".join(word for sentence in report for word in sentence)

    reports = [tuple(sentence() for _ in range(draw.integers(0, 5))) for _ in range(60)]
    references = [text(report) for report in reports[:12] if report]
    expected = [bleu_4(text(report), references) for report in reports]
    table = floors._MatchTable(references)
    np.testing.assert_allclose(table.bleu_4(reports), expected, rtol=0, atol=1e-12)
    assert len({round(value, 3) for value in expected}) > 20


def test_a_report_is_changed_by_one_sentence_in_every_way():
    a, b, c, new = ("a",), ("b",), ("c",), ("new",)
    changes = floors._changes((a, b, c), 1, [new])
    inserted, replaced, deleted = (a, new, b, c), (a, new, c), (a, c)
    assert changes == [inserted, replaced, (b, a, c), (a, b, c), (a, c, b), deleted]
    assert floors._changes((a,), 1, [new]) == [(a, new)]  # at the end there is none to replace


def test_climbs_begin_at_the_empty_report_and_the_best_ones_with_frequent_sentences(monkeypatch):
    begun = []

    def climb(start, sentences, table):
        begun.append((" ".join(map(" ".join, start)), [" ".join(words) for words in sentences]))
        return start, 0.0

    monkeypatch.setattr(floors, "_climb", climb)
    train = [HEART] * 2 + [f"{LUNGS} {HEART}"] * 2 + [SPINE] + [EFFUSION] * 3
    found = best_constant(train, [f"{LUNGS} {HEART}", HEART], num_starts=3)
    assert found == ""  # of equal ends the first
    assert [start for start, _ in begun] == ["", f"{LUNGS} {HEART}", HEART]
    assert begun[0][1] == [HEART, EFFUSION]  # four times and three; the others less often


def test_a_report_is_split_after_full_stops_and_those_alone_are_dropped():
    assert floors._split("clear . . the heart . no") == (
        ("clear", "."),
        ("the", "heart", "."),
        ("no",),
    )
