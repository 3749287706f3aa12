"""Any text that a model may write, or a report hold, is scored, kept and shown as it is."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from cases import attempt, seeded
from floors_of import floors_of
from hypothesis import given
from hypothesis import strategies as st

from rcan.data.store import Split, Study, View
from rcan.errors import UserError
from rcan.evaluation.evaluate import evaluate
from rcan.evaluation.results import read_predictions
from rcan.evaluation.scores import METRICS, score
from rcan.files import write_csv
from rcan.reporting.examples import choose_examples, write_examples
from rcan.text.cleaning import clean_iu_xray

KIND = "predictions"
REPORTS = ["The heart is big. Lungs are clear.", "No effusion.", "A mass, 2.5 cm; no change."]
ODD = [
    "", " ", "\n", "\r", "\r\n", "a\nb", "a\rb", "|||", "a ||| b", "||", "SCORE ||| a ||| b", ".",
    '"', '""', "a,b", "'", "\0", "\x1b[31mred", "\u2028", "\u202eabc", "心 肺", "ä ö", "🫁", "$x^$",
    "\\frac{", "<b>&amp;", "`*_[#|", "=1+1", "-1", "nan", "x" * 200_000, "a " * 20_000, "<unk>",
    "EVAL", ". . .", "\ufeff", "e\u0301", "%s %d {}", "../../etc", "null",
]  # fmt: skip
TEXTS = st.sampled_from(ODD) | st.text(max_size=30) | st.sampled_from(REPORTS)


def study(number: int, report: str) -> Study:
    return Study(f"CXR{number}", "test", report, clean_iu_xray(report), (View(number, None),))


@pytest.fixture
def no_java(monkeypatch):
    """METEOR's counts without its Java, which takes seconds to start: all are 0."""
    monkeypatch.setattr(
        "rcan.evaluation.scores.meteor_counts", lambda texts, *_, **__: np.zeros((len(texts), 23))
    )


def evaluated(predictions: list[str], reports: list[str]) -> tuple[dict, list[dict], list[Study]]:
    test = [study(number, report) for number, report in enumerate(reports)]
    texts = [clean_iu_xray(report) for report in REPORTS]
    val = [study(number, report) for number, report in enumerate(REPORTS[1:])]
    words = set(" ".join(texts).split())
    result, rows, _ = evaluate(
        predictions=predictions, test=test, train_texts=texts, val=val, vocabulary=words,
        max_length=20, floors=floors_of(texts, val, words, 20), clean=clean_iu_xray,
        resamples=100, seed=1,
    )  # fmt: skip
    return result, rows, test


def check_scores(result: dict, rows: list[dict]) -> None:
    """Every score is one, and a study's text does not touch another study's scores."""
    for systems in result["protocols"].values():
        for value in systems["model"].values():
            assert all(0 <= value[end] <= 1 for end in ("score", "low", "high"))
    for row in rows:
        assert all(math.isfinite(row[metric]) and 0 <= row[metric] <= 1 for metric in METRICS)
        alone = score([row["prediction"]], [row["reference"]], meteor=False)
        for metric, values in alone.studies.items():
            assert row[metric] == pytest.approx(float(values[0]))


def test_odd_texts_are_scored_and_come_back_from_the_table(no_java, tmp_path, amount, figure):
    counted = Counter()
    path = tmp_path / "predictions.csv"

    @seeded(amount(10, 400))
    @given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
    def of_texts(pairs):
        reports = [report.encode("utf-8", "replace").decode() for _, report in pairs]
        predictions = [text.encode("utf-8", "replace").decode() for text, _ in pairs]
        result, rows, test = evaluated(predictions, reports)
        check_scores(result, rows)
        write_csv(path, rows)
        back = read_predictions(path)
        assert [row["prediction"] for row in back] == predictions
        assert [row["reference"] for row in back] == [row["reference"] for row in rows]
        examples = choose_examples(back, Split("test", test, np.zeros((3, 8, 8), dtype=np.uint8)))
        assert {example.prediction for example in examples} == set(predictions)
        counted["texts"] += len(pairs)

    of_texts()
    figure("bad input", KIND, counted.total())


def test_a_text_that_no_file_can_hold_leaves_the_table_as_it_was(tmp_path, figure):
    path = tmp_path / "predictions.csv"
    write_csv(path, [{"id": "a", "prediction": "before"}])
    with pytest.raises(UnicodeEncodeError):  # which a stage tells in one line
        write_csv(path, [{"id": "a", "prediction": "\ud800"}])
    assert path.read_text() == "id,prediction\na,before\n"
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]
    figure("bad input", KIND, 1)


def test_odd_examples_are_shown(no_java, tmp_path, amount, figure):
    shown = 0
    for start in range(0, len(ODD), amount(len(ODD), 6)):
        predictions = ODD[start : start + 6]
        _, rows, test = evaluated(predictions, [REPORTS[0]] * len(predictions))
        write_csv(tmp_path / "predictions.csv", rows)
        split = Split("test", test, np.zeros((6, 8, 8), dtype=np.uint8))
        examples = choose_examples(read_predictions(tmp_path / "predictions.csv"), split)
        floors = {"best_constant": predictions[0], "most_frequent": predictions[-1]}
        write_examples(examples, data_name="a_b", floors=floors, out=tmp_path)
        text = (tmp_path / "examples.md").read_text(encoding="utf-8")
        assert all(f"· CXR{number}\n" in text for number in range(len(predictions)))
        assert (tmp_path / "examples.png").stat().st_size > 5_000
        shown += len(predictions)
    figure("bad input", KIND, shown)


@pytest.mark.parametrize(
    ("num_predictions", "num_reports"), [(0, 0), (0, 3), (3, 0), (2, 3), (3, 2)]
)
def test_numbers_that_do_not_agree_are_one_line(num_predictions, num_reports, no_java, figure):
    predictions, reports = ["a ."] * num_predictions, (REPORTS * 2)[:num_reports]
    assert attempt(lambda: evaluated(predictions, reports)) is None
    figure("bad input", KIND, 1)


def test_odd_texts_leave_the_meteor_of_others_alone(long, figure):
    """One start of Java for all; plain pairs among odd ones keep the scores they have alone."""
    draw = random.Random(1)
    plain = [(clean_iu_xray(REPORTS[0]), REPORTS[0]), ("no big mass .", REPORTS[2])]
    odd = [(draw.choice(ODD), draw.choice([*ODD, *REPORTS])) for _ in range(150)]
    pairs = [pair for one in odd for pair in (one, draw.choice(plain))]
    result, rows, _ = evaluated([text for text, _ in pairs], [report for _, report in pairs])
    check_scores(result, rows)
    for text, report in plain:
        alone = score([text], [" ".join(clean_iu_xray(report).split())]).studies["METEOR"][0]
        found = {
            row["METEOR"] for row, pair in zip(rows, pairs, strict=True) if pair == (text, report)
        }
        assert len(found) == 1 and found.pop() == pytest.approx(float(alone))
    figure("bad input", KIND, len(odd))


def test_an_unknown_protocol_is_one_line(no_java):
    with pytest.raises(UserError, match="expected a protocol of strict, paper"):
        evaluate(
            predictions=["a"], test=[study(0, "A.")], train_texts=["a ."], val=[study(1, "A.")],
            vocabulary={"a"}, max_length=9, floors={}, clean=clean_iu_xray, resamples=100, seed=1,
            protocols=["lenient"],
        )  # fmt: skip
