"""Whether a model looks at a finding when it names it: attention inside the finding's own region.

The paper shows it in single pictures (Fig. 4, §4.4); here it is counted.

Beside it stand two shares that need no looking there: what the region would get if all patches
weighed the same, and what it gets from the model's attention for all words of the same report. A
model that looks at one part of every picture has the second as high as the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rcan.attention.patches import Places
from rcan.evaluation.statistics import interval, study_weights


@dataclass(frozen=True)
class Look:
    """One finding that a report rightly names: shares of attention that fall on its region."""

    study: int
    finding: str
    share: float  # of the attention for the word that names it
    of_all_words: float  # mean over the report's words
    even: float  # were all patches alike


def look(
    study: int, finding: str, attention: np.ndarray, word: int, region: np.ndarray, places: Places
) -> Look:
    """`attention` (words, S) of a report whose word number `word` names the finding; `region`
    (I, size, size) bool."""
    rows = np.stack([attention[word], attention.mean(0)])
    share, of_all_words = (places.spread(rows) * region).sum((1, 2, 3))
    even = (places.even() * region).sum()
    return Look(study, finding, float(share), float(of_all_words), float(even))


def spread_over(attention: np.ndarray) -> float:
    """Over how many patches a word's attention (words, S) is spread, exp(entropy): the mean over
    the words; NaN of none."""
    if not len(attention):
        return float("nan")
    entropy = -(attention * np.log(np.clip(attention, 1e-12, None))).sum(1)
    return float(np.exp(entropy).mean())


def summary(
    looks: Sequence[Look], *, num_studies: int, resamples: int, seed: int
) -> dict[str, float | int | None]:
    """Means over all looks, and how many times the other two shares the first is.

    95 % intervals by a bootstrap over studies, with all words of a study together.
    """
    if not looks:
        names = ("share", "times_even", "times_all_words")
        ends = {f"{name}{end}": None for name in names for end in ("", "_low", "_high")}
        return {"words": 0, "studies": 0, "even": None, "of_all_words": None, **ends}
    columns = np.zeros((num_studies, 4))
    for one in looks:
        columns[one.study] += (one.share, one.of_all_words, one.even, 1)
    sums = study_weights(num_studies, resamples, seed) @ columns
    sums = sums[sums[:, 3] > 0]  # a resample may have none of the words
    share, of_all_words, even, words = columns.sum(0)
    return {
        "words": len(looks),
        "studies": len({one.study for one in looks}),
        "even": float(even / words),
        "of_all_words": float(of_all_words / words),
        **_with_interval("share", share / words, sums[:, 0] / sums[:, 3]),
        **_with_interval("times_even", share / even, sums[:, 0] / sums[:, 2]),
        **_with_interval("times_all_words", share / of_all_words, sums[:, 0] / sums[:, 1]),
    }


def by_finding(looks: Iterable[Look]) -> dict[str, list[Look]]:
    """The looks at each finding, the most frequent first."""
    found: dict[str, list[Look]] = {}
    for one in looks:
        found.setdefault(one.finding, []).append(one)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _with_interval(name: str, value: float, resampled: np.ndarray) -> dict[str, float]:
    ends = interval(resampled)
    return {name: float(value), f"{name}_low": ends["low"], f"{name}_high": ends["high"]}
