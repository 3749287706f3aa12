"""How often each row of a table ranks first: what a mean with its interval does not say."""

from collections.abc import Mapping, Sequence

import numpy as np

from rcan.errors import UserError
from rcan.evaluation.bleu import BLEU, bleu_of
from rcan.evaluation.meteor import meteor_of
from rcan.evaluation.scores import Scores
from rcan.evaluation.statistics import study_weights

PICKS = 10  # how often the seeds are drawn anew for each draw of studies


def first_shares(
    rows: Mapping[str, Sequence[Scores]], metric: str = "BLEU-4", /, *, resamples: int, seed: int
) -> dict[str, float]:
    """How often each row has the highest score among all of them, from 0 to 1.

    In each bootstrap draw of studies, the same for all rows, every row stands with one of its
    seeds, drawn by chance. Rows that share the highest score share the draw.

    Args:
        rows: row -> its scores under each of its seeds, all on the same references.

    Raises:
        UserError: a row without scores, other references than the rest's, or no resample.
    """
    if len({run.references for runs in rows.values() for run in runs}) > 1 or not all(
        rows.values()
    ):
        raise UserError(
            "expected rows with scores against the same references; got a row without scores, or"
            " different references; score all on the same split under one protocol"
        )
    if not rows:
        return {}
    weights = study_weights(len(next(iter(rows.values()))[0]), resamples, seed)
    chance = np.random.default_rng(seed)
    scores = []  # of each row, (PICKS, B)
    for runs in rows.values():
        of_seeds = np.stack([_drawn(run, weights, metric) for run in runs])  # (S, B)
        picked = chance.integers(0, len(runs), (PICKS, resamples))
        scores.append(np.take_along_axis(of_seeds, picked, axis=0))
    first = np.array(scores) == np.max(scores, axis=0)  # (rows, PICKS, B)
    shares = (first / first.sum(axis=0)).mean(axis=(1, 2))
    return dict(zip(rows, shares.tolist(), strict=True))


def _drawn(scores: Scores, weights: np.ndarray, metric: str) -> np.ndarray:
    """(B,): the score in each draw of studies."""
    if metric == "ROUGE-L":
        drawn: np.ndarray = weights @ scores.studies[metric] / len(scores)
    elif metric == "METEOR":
        drawn = meteor_of(weights @ scores.meteor_counts)
    else:
        drawn = bleu_of(weights @ scores.bleu_counts)[:, BLEU.index(metric)]
    return drawn
