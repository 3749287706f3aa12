import time

import numpy as np
import pytest

from rcan.errors import UserError
from rcan.evaluation.meteor import meteor_of
from rcan.evaluation.scores import METRICS, Scores, score, scores_of_some
from rcan.evaluation.statistics import (
    difference,
    holm,
    intervals,
    seed_difference,
    seed_intervals,
)

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


OPTIONS = {"resamples": 200, "seed": 1}


def test_several_seeds_have_the_mean_of_their_scores_and_its_spread():
    runs = [made_up(60, seed, share=0.3) for seed in (1, 2, 3)]
    found = seed_intervals(runs, **OPTIONS)
    assert tuple(found) == METRICS
    for metric, value in found.items():
        scores = [run.corpus[metric] for run in runs]
        mean = sum(scores) / 3
        assert value["score"] == pytest.approx(mean)
        assert value["sd"] == pytest.approx((sum((s - mean) ** 2 for s in scores) / 2) ** 0.5)
        assert value["low"] < value["score"] < value["high"]


def test_all_seeds_are_resampled_with_the_same_studies():
    """So each resampled mean is the mean of the seeds' resamples, drawn here one by one."""
    runs = [made_up(30, seed) for seed in (1, 2)]
    times = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), 40)
    drawn = [np.repeat(np.arange(30), row) for row in times]
    means = [np.mean([scores_of_some(r, rows).corpus["METEOR"] for r in runs]) for rows in drawn]
    found = seed_intervals(runs, resamples=40, seed=5)["METEOR"]
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_one_seed_is_no_mean_and_has_no_spread():
    run, other = made_up(40, 1), made_up(40, 2)
    assert seed_intervals([run], **OPTIONS) == intervals(run, **OPTIONS)
    assert seed_difference([run], [other], **OPTIONS) == difference(run, other, **OPTIONS)
    assert "sd" not in intervals(run, **OPTIONS)["BLEU-4"]


def test_two_models_of_several_seeds_differ_by_the_mean_of_their_differences():
    a = [made_up(80, seed, share=0.5) for seed in (1, 2)]
    b = [made_up(80, seed) for seed in (3, 4)]
    found = seed_difference(a, b, **OPTIONS)["ROUGE-L"]
    gaps = [x.corpus["ROUGE-L"] - y.corpus["ROUGE-L"] for x, y in zip(a, b, strict=True)]
    assert found["difference"] == pytest.approx(sum(gaps) / 2)
    assert found["sd"] == pytest.approx(abs(gaps[0] - gaps[1]) / 2**0.5)
    assert 0 < found["low"] < found["difference"] < found["high"]
    assert found["p"] == pytest.approx(1 / 201)
    turned = seed_difference(b, a, **OPTIONS)["ROUGE-L"]
    assert turned["difference"] == -found["difference"] and turned["low"] == -found["high"]


def test_a_study_is_exchanged_in_all_seeds_at_once():
    """ROUGE-L is a mean, so exchanges are signs: of a study's difference, averaged over seeds."""
    a = [made_up(40, seed, share=0.1) for seed in (1, 2)]
    b = [made_up(40, seed) for seed in (3, 4)]
    each = np.mean(
        [x.studies["ROUGE-L"] - y.studies["ROUGE-L"] for x, y in zip(a, b, strict=True)], 0
    )
    signs = 1 - 2 * np.random.default_rng(3).integers(0, 2, (300, 40))
    as_much = np.abs((signs * each).mean(axis=1)) >= abs(each.mean()) - 1e-12
    found = seed_difference(a, b, resamples=300, seed=3)["ROUGE-L"]
    assert found["p"] == pytest.approx((1 + as_much.sum()) / 301)
    assert 0.01 < found["p"] < 0.99


def test_a_model_whose_seeds_are_as_far_apart_as_the_other_is_not_told_apart():
    a, b = made_up(100, 1), made_up(100, 2)
    found = seed_difference([a, b], [b, a], **OPTIONS)["BLEU-4"]
    assert found["difference"] == 0 and found["p"] == 1 and found["sd"] > 0


def test_runs_that_cannot_be_averaged_or_compared_are_told():
    run = made_up(20, 1)
    with pytest.raises(UserError, match="got 2 and 1 runs; compare the seeds that both have"):
        seed_difference([run, run], [run], **OPTIONS)
    with pytest.raises(UserError, match="at least one run to take a mean of"):
        seed_intervals([], **OPTIONS)
    with pytest.raises(UserError, match="at least one run to take a mean of"):
        seed_difference([], [], **OPTIONS)
    with pytest.raises(UserError, match="got 20 and 30 studies"):
        seed_intervals([run, made_up(30, 1)], **OPTIONS)
    other = made_up(20, 1, like=reports(20, 9))
    with pytest.raises(UserError, match="the same references; got different ones"):
        seed_difference([run, run], [run, other], **OPTIONS)


def test_holm_multiplies_by_the_number_left_and_never_falls():
    # sorted: .01 * 4, .02 * 3 = .06, .03 * 2 = .06, .5 * 1
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    # .02 * 3 = .06, then .025 * 2 = .05 may not be less; .9 stays
    assert holm([0.025, 0.9, 0.02]) == pytest.approx([0.06, 0.9, 0.06])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_the_scores_of_some_studies_are_those_of_them_alone():
    references, written = reports(12, 0), [f"{text} clear" for text in reports(12, 1)]
    rows = np.array([7, 2, 2, 11])
    found = scores_of_some(score(written, references, meteor=False), rows)
    alone = score([written[i] for i in rows], [references[i] for i in rows], meteor=False)
    assert found.corpus == alone.corpus and len(found) == 4
    assert found.studies["BLEU-2"].tolist() == alone.studies["BLEU-2"].tolist()
    assert made_up(9, 1).corpus == scores_of_some(made_up(9, 1), np.arange(9)).corpus
    with pytest.raises(UserError, match="the same references"):  # other studies, as many
        difference(
            found, scores_of_some(score(written, references, meteor=False), rows - 1), **OPTIONS
        )
