"""How often a row ranks first: sure, open and shared, by hand."""

import pytest

from rcan.errors import UserError
from rcan.evaluation.scores import score
from rcan.reporting.ranks import first_shares

WORDS = "the heart is normal in size and the lungs are clear"
TEXTS = [f"{WORDS} {number} ." for number in range(20)]
OPTIONS = {"resamples": 200, "seed": 1}


def scored(right: range | list[int]):
    """Scores of a model that writes the references of these studies, and else one text."""
    texts = [text if place in right else WORDS for place, text in enumerate(TEXTS)]
    return score(texts, TEXTS, meteor=False)


def test_what_is_better_in_every_study_is_always_first():
    rows = {"a": [scored(range(20))], "b": [scored(range(10))], "c": [scored([])]}
    assert first_shares(rows, **OPTIONS) == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_equals_share_and_halves_are_open():
    rows = {"a": [scored(range(10))], "same": [scored(range(10))]}
    assert first_shares(rows, **OPTIONS) == {"a": 0.5, "same": 0.5}
    rows = {"a": [scored(range(10))], "b": [scored(range(10, 20))]}
    shares = first_shares(rows, **OPTIONS)
    assert sum(shares.values()) == pytest.approx(1) and 0.35 < shares["a"] < 0.65


def test_each_seed_counts_alike():
    """One of two seeds is always better than the other row, one always worse."""
    rows = {"a": [scored(range(20)), scored([])], "b": [scored(range(10))]}
    shares = first_shares(rows, **OPTIONS)
    assert shares["a"] == pytest.approx(0.5, abs=0.05)  # 2,000 picks of a seed
    assert shares == first_shares(rows, **OPTIONS)


def test_other_references_and_rows_without_scores_are_refused():
    other = score(TEXTS, TEXTS[::-1], meteor=False)
    for rows in ({"a": [scored([])], "b": [other]}, {"a": []}):
        with pytest.raises(UserError, match="against the same references"):
            first_shares(rows, **OPTIONS)
    assert first_shares({}, **OPTIONS) == {}
