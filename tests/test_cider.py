"""CIDEr-D: worked by hand, against its formula written out, and against pycocoevalcap's."""

from collections import Counter
from math import exp, log, sqrt

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer

from rcan.errors import UserError
from rcan.evaluation.cider import CiderD

WORDS = ["lungs", "heart", "clear", "normal", ".", "e", "unseen"]


def ids(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


TRAIN = [ids(text) for text in ("lungs clear . e", "heart normal . e", "lungs normal . e")]


def written_out(report, reference, train) -> float:
    """The sum over orders, n-grams and reports as it is printed."""

    def weights(words, n):
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        df = {
            g: sum(g in {tuple(t[i : i + n]) for i in range(len(t))} for t in train) for g in grams
        }
        return {g: count * (log(len(train)) - log(max(1, df[g]))) for g, count in grams.items()}

    total = 0.0
    for n in (1, 2, 3, 4):
        h, r = weights(report, n), weights(reference, n)
        norms = sqrt(sum(w * w for w in h.values())) * sqrt(sum(w * w for w in r.values()))
        shared = sum(min(h[g], r[g]) * r[g] for g in h.keys() & r.keys())
        total += shared / norms if norms else 0.0
    return 10 / 4 * total * exp(-((len(report) - len(reference)) ** 2) / 72)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("lungs clear . e", 10.0),
        ("lungs normal . e", 0.612074),
        ("lungs lungs normal . e", 0.381770),
        ("lungs e", 0.818826),
        ("unseen unseen", 0.0),
        ("", 0.0),
    ],
)
def test_against_the_first_of_three_reports(text, score):
    assert CiderD(TRAIN, len(WORDS))([ids(text)], np.array([0])) == pytest.approx(score, abs=5e-7)


def test_without_the_end_mark_a_fragment_is_worth_more():
    whole, bare = CiderD(TRAIN, 7), CiderD([words[:-1] for words in TRAIN], 7)
    told, untold = (c([ids("lungs clear .")], np.array([0])).item() for c in (whole, bare))
    assert told < untold == pytest.approx(7.5)  # the reference itself, but it has no 4-gram


def test_as_written_out_on_random_reports():
    rng = np.random.default_rng(0)
    for size in (3, 40):
        p = rng.dirichlet(np.full(size, 0.5))
        train, reports = (
            [rng.choice(size, rng.integers(low, 20), p=p).tolist() for _ in range(30)]
            for low in (1, 0)
        )
        reports[5], numbers = train[2], rng.permutation(30)
        expected = [written_out(r, train[n], train) for r, n in zip(reports, numbers, strict=True)]
        found = CiderD(train, size)(reports, numbers)
        assert found == pytest.approx(expected, abs=1e-12) and max(found) > 0.5


@pytest.mark.parametrize("seed", range(5))
def test_equals_pycocoevalcaps_on_random_sets(seed):
    """Its variant: clipped, sigma 6, N and frequencies of the references that are scored.

    Lengths are numbers of bigrams there, so that they differ as numbers of words do; but that of an
    empty report, which scores 0 on both sides.
    """
    rng = np.random.default_rng(seed)
    size, number = int(rng.integers(3, 200)), int(rng.integers(2, 80))
    p = rng.dirichlet(np.full(size, 0.3))
    references, reports = (
        [rng.choice(size, rng.integers(low, 30), p=p).tolist() for _ in range(number)]
        for low in (1, 0)
    )
    reports[0], reports[-1] = references[0], []
    theirs = CiderScorer()
    for report, reference in zip(reports, references, strict=True):
        theirs += (" ".join(map(str, report)), [" ".join(map(str, reference))])
    mean, expected = theirs.compute_score()
    found = CiderD(references, size)(reports, np.arange(number))
    assert found == pytest.approx(expected, abs=1e-9) and max(found) > 0.5
    assert found.mean() == pytest.approx(mean, abs=1e-9)


def test_a_batch_scores_as_its_reports_do_alone():
    score, reports = CiderD(TRAIN, len(WORDS)), [ids("lungs e"), ids("heart normal"), TRAIN[2]]
    numbers = np.array([2, 1, 0])
    alone = [score([r], numbers[[i]]).item() for i, r in enumerate(reports)]
    assert score(reports, numbers).tolist() == alone


def test_what_it_cannot_score_by_is_refused():
    for train, size in (([], 5), ([[]], 5), (TRAIN, 60_000)):
        with pytest.raises(UserError, match=f"of {size:,}: raise data.min_freq"):
            CiderD(train, size)
