import itertools
import json

import pytest

from rcan.errors import UserError
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
