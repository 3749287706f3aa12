"""What is scored: whole references under `strict`, and every study of the split. No argument, flag
or later change makes it less."""

import subprocess
import sys

import pytest
from floors_of import floors_of
from hypothesis import given, settings
from hypothesis import strategies as st
from java_programs import python_java

from rcan.data.sets import TITLES, data_set
from rcan.data.store import Study, View
from rcan.errors import UserError
from rcan.evaluation import evaluate as evaluation
from rcan.evaluation.evaluate import evaluate
from rcan.evaluation.protocols import reference
from rcan.text.cleaning import clean_iu_xray

HELD = ("honesty", "checks that held", 1)
PIECES = ["Heart", "size", "is", "normal.", "1. ", "..", "XXXX", "5.9", "l1.", "(no)", " "]
REPORTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=200).map(" ".join)
WORDS = st.sets(st.sampled_from(["heart", "size", "normal", "."]))


@pytest.mark.parametrize("data", TITLES)
def test_a_strict_reference_is_the_cleaned_report_word_for_word(data, amount, figure):
    tried = 0

    @settings(max_examples=amount(60, 2500), derandomize=True, deadline=None, database=None)
    @given(report=REPORTS, vocabulary=WORDS, max_length=st.integers(2, 100))
    def check(report, vocabulary, max_length):
        nonlocal tried
        tried += 1
        text = data_set(data).clean(report)
        strict = reference(text, "strict", vocabulary, max_length)
        assert strict.split() == text.split() and "  " not in strict
        paper = reference(text, "paper", vocabulary, max_length).split()
        assert len(paper) == min(len(text.split()), max_length - 1)

    check()
    figure("honesty", "texts whose strict reference is whole", tried)


REPORT = "The heart is normal in size. The lungs are clear. No pleural effusion is seen."


def studies(**changes: str) -> list[Study]:
    """Three studies, of which the second is another."""
    kept = {"id": "s", "split": "test", "report": REPORT, "text": clean_iu_xray(REPORT)}
    kept["views"] = (View(0, None),)
    return [Study(**kept), Study(**kept | changes), Study(**kept)]


def evaluated(test: list[Study], java, **changes) -> dict:
    texts = [clean_iu_xray(study.report) for study in test]
    words = set(" ".join(texts).split())
    options = {
        "predictions": texts, "test": test, "train_texts": texts, "val": test,
        "vocabulary": words, "max_length": 60, "clean": clean_iu_xray, "resamples": 5, "seed": 1,
        "floors": floors_of(texts, test, words, 60) if test else {}, "java": java,
    }  # fmt: skip
    return evaluate(**options | changes)[0]


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    return python_java(tmp_path_factory.mktemp("java"))


def cut(text: str, words: int) -> str:
    return " ".join(text.split()[:words])


@pytest.mark.parametrize(
    "text",
    [
        cut(clean_iu_xray(REPORT), 10), cut(clean_iu_xray(REPORT), 17), "", ".",
        clean_iu_xray(REPORT).replace("pleural", "<unk>"), clean_iu_xray(REPORT) + " seen .",
        clean_iu_xray(REPORT).replace("heart is", "is heart"),
    ],
)  # fmt: skip
def test_a_text_that_is_not_the_whole_report_is_not_scored(text, java, figure):
    with pytest.raises(UserError, match="study s2: expected its whole report, 18 words") as caught:
        evaluated(studies(id="s2", text=text), java)
    assert "lungs" not in str(caught.value)
    figure(*HELD)


def test_a_protocol_that_cuts_is_not_taken_for_strict(java, monkeypatch, figure):
    assert evaluated(studies(), java)["protocols"]["strict"]["model"]["BLEU-4"]["score"] > 0.99
    monkeypatch.setattr(evaluation, "reference", lambda text, *_: cut(text, 17))
    with pytest.raises(UserError, match="18 words, as strict reference; got 17 words"):
        evaluated(studies(), java)
    figure(*HELD)


OPTIMIZED = """
from rcan.data.sets import TITLES, data_set
from rcan.data.store import Study, View
from rcan.evaluation.evaluate import evaluate
from rcan.text.cleaning import clean_iu_xray

text = "the lungs are clear ."
views = (View(0, None),)
study = Study(id="s", split="test", report="Lungs are clear. All well.", text=text, views=views)
evaluate(
    predictions=[text], test=[study], train_texts=[text], val=[study], vocabulary={"lungs"},
    max_length=60, floors={}, clean=clean_iu_xray, resamples=5, seed=1, java="/nowhere/java",
)
"""


def test_pythons_optimization_does_not_switch_it_off(figure):
    done = subprocess.run([sys.executable, "-OO", "-c", OPTIMIZED], capture_output=True, text=True)
    assert "study s: expected its whole report, 7 words" in done.stderr
    figure(*HELD)


def test_a_part_of_the_split_is_not_evaluated(java, figure):
    texts = [study.text for study in studies()]
    for predictions in (texts[:2], [], [*texts, texts[0]]):
        with pytest.raises(UserError, match=rf"{len(predictions)} predictions and 3 references"):
            evaluated(studies(), java, predictions=predictions)
        figure(*HELD)
    with pytest.raises(UserError, match="at least one study"):
        evaluated([], java)
    figure(*HELD)
