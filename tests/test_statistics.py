import time

import numpy as np
import pytest

from rcan.errors import UserError
from rcan.evaluation.meteor import meteor_of
from rcan.evaluation.scores import METRICS, Scores, score
from rcan.evaluation.statistics import difference, intervals

WORDS = ["the", "lungs", "are", "clear", ".", "heart", "size", "is", "normal", "no", "effusion"]


def reports(num: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(5, 30))) for _ in range(num)]


def made_up(num: int, seed: int, *, like: list[str] | None = None, share: float = 0.0) -> Scores:
    """Scores of random reports, a share of which are the references; METEOR from made-up counts."""
    references = like or reports(num, 0)
    draw = np.random.default_rng(seed)
    written = [
        reference if draw.random() < share else text
        for reference, text in zip(references, reports(num, seed), strict=True)
    ]
    found = score(written, references, meteor=False)
    counts = np.zeros((num, 23))
    counts[:, 0:2] = 20
    counts[:, 4:6] = draw.integers(1, 20, (num, 1))
    counts[:, 20] = 1
    counts[:, 21:23] = counts[:, 4:6]
    of_corpus = {"METEOR": float(meteor_of(counts.sum(axis=0)))}
    return Scores(
        corpus={m: (found.corpus | of_corpus)[m] for m in METRICS},
        studies=found.studies | {"METEOR": meteor_of(counts)},
        bleu_counts=found.bleu_counts,
        meteor_counts=counts,
        references=found.references,
    )


def test_intervals_hold_the_score_on_every_metric():
    found = intervals(made_up(100, 1, share=0.3), resamples=200, seed=1)
    assert tuple(found) == METRICS
    for value in found.values():
        assert value["low"] < value["score"] < value["high"]


def test_a_resample_is_the_score_of_the_drawn_studies():
    references, written = reports(30, 0), [f"{text} clear" for text in reports(30, 1)]
    found = intervals(score(written, references, meteor=False), resamples=1, seed=7)
    times = np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), 1)[0]
    drawn = np.repeat(np.arange(30), times)
    again = score([written[i] for i in drawn], [references[i] for i in drawn], meteor=False)
    for metric, value in found.items():
        assert value["low"] == value["high"] == pytest.approx(again.corpus[metric], abs=1e-12)


def test_equal_studies_have_an_interval_of_no_width():
    found = intervals(
        score(["clear ."] * 9, ["lungs clear ."] * 9, meteor=False), resamples=50, seed=1
    )
    assert all(value["low"] == pytest.approx(value["high"]) for value in found.values())


def test_the_seed_alone_decides():
    scores = made_up(50, 1)
    assert intervals(scores, resamples=50, seed=1) == intervals(scores, resamples=50, seed=1)
    assert intervals(scores, resamples=50, seed=1) != intervals(scores, resamples=50, seed=2)


def test_a_better_system_is_told_apart():
    found = difference(made_up(150, 1, share=0.5), made_up(150, 2), resamples=200, seed=1)
    assert found["BLEU-4"]["low"] > 0
    assert found["BLEU-4"]["p"] == pytest.approx(1 / 201)


def test_a_system_does_not_differ_from_itself():
    scores = made_up(50, 1)
    for value in difference(scores, scores, resamples=50, seed=1).values():
        assert value == {"difference": 0, "low": 0, "high": 0, "p": 1}


def test_differences_turn_with_the_order():
    a, b = made_up(80, 1), made_up(80, 2)
    forth = difference(a, b, resamples=100, seed=1)["ROUGE-L"]
    back = difference(b, a, resamples=100, seed=1)["ROUGE-L"]
    assert (forth["difference"], forth["low"]) == pytest.approx(
        (-back["difference"], -back["high"])
    )
    assert forth["p"] == back["p"] > 0.05


def test_bad_input_is_told():
    scores = score(["clear ."], ["clear ."], meteor=False)
    with pytest.raises(UserError, match="at least 1 resample; got 0"):
        intervals(scores, resamples=0, seed=1)
    with pytest.raises(UserError, match="got 1 and 2 studies"):
        difference(scores, score(["a", "b"], ["a", "b"], meteor=False), resamples=9, seed=1)
    with pytest.raises(UserError, match="against the same references; got different ones"):
        difference(scores, score(["clear ."], ["lungs ."], meteor=False), resamples=9, seed=1)


def test_a_thousand_resamples_of_a_test_split_take_no_time():
    scores = made_up(590, 1)
    start = time.process_time()
    intervals(scores, resamples=1000, seed=1)
    assert time.process_time() - start < 1.5  # measured: 0.1 s


def test_p_is_the_share_of_random_exchanges_that_differ_as_much():
    a, b = made_up(40, 1, share=0.1), made_up(40, 2)
    each = a.studies["ROUGE-L"] - b.studies["ROUGE-L"]
    signs = 1 - 2 * np.random.default_rng(3).integers(0, 2, (300, 40))
    as_much = np.abs((signs * each).mean(axis=1)) >= abs(each.mean()) - 1e-12
    found = difference(a, b, resamples=300, seed=3)["ROUGE-L"]
    assert found["p"] == pytest.approx((1 + as_much.sum()) / 301)
    assert 0.01 < found["p"] < 0.99
