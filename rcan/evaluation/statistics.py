"""How far a score can be trusted: bootstrap over studies, and paired comparison of two systems.

A resample draws N studies with replacement, i.e. gives each study a multinomial weight, and every
corpus score is a formula over sums. So one product `weights @ counts` scores all resamples: 1,000
of 590 studies in about 0.1 s, where scoring the texts again would take minutes.

Sources: percentile bootstrap (Efron and Tibshirani, 1993), of corpus scores (Koehn, 2004);
approximate randomisation (Noreen, 1989; Riezler and Maxwell, 2005); Holm (1979).

Shapes: N studies, B resamples.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from rcan.errors import UserError
from rcan.evaluation.bleu import BLEU, bleu_of
from rcan.evaluation.bleu import NUM_COUNTS as NUM_BLEU_COUNTS
from rcan.evaluation.meteor import meteor_of
from rcan.evaluation.scores import METRICS, Scores

PERCENTILES = (2.5, 97.5)  # a 95 % interval


def intervals(scores: Scores, *, resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """Per metric `score`, `low`, `high`: the corpus score and its 95 % percentile interval.

    Raises:
        UserError: fewer than one resample.
    """
    found = seed_intervals([scores], resamples=resamples, seed=seed)
    return {
        metric: {key: value[key] for key in ("score", "low", "high")}  # of one there is no sd
        for metric, value in found.items()
    }


def seed_intervals(
    runs: Sequence[Scores], *, resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """Per metric `score`, `low`, `high`, `sd` of one model trained with several seeds.

    The score is the mean of the runs' corpus scores. Its interval is over studies, which are
    resampled for all runs together: what other seeds would give, it does not know; that is told by
    `sd`, the standard deviation over the runs (of one run there is no such key).

    Raises:
        UserError: no run, different studies or protocols, or fewer than one resample.
    """
    _require_same_studies(runs)
    weights = study_weights(len(runs[0]), resamples, seed)
    each = [_corpus_scores(weights @ _statistics(run), len(run)) for run in runs]
    result = {}
    for metric in each[0]:
        observed = np.array([run.corpus[metric] for run in runs])
        resampled = np.mean([values[metric] for values in each], axis=0)
        result[metric] = {"score": float(observed.mean()), **interval(resampled), **_sd(observed)}
    return result


def difference(a: Scores, b: Scores, *, resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """Per metric `difference` (a - b), `low`, `high`, `p` for two systems on the same studies.

    The interval is paired: both systems are resampled together. `p` is the two-sided p-value of
    approximate randomisation: how often exchanging the systems in a random half of the studies
    gives a difference at least as large (Riezler and Maxwell 2005).

    Raises:
        UserError: different studies or protocols, or fewer than one resample.
    """
    return seed_difference([a], [b], resamples=resamples, seed=seed)


def seed_difference(
    a: Sequence[Scores], b: Sequence[Scores], *, resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """`difference` of two models trained with the same seeds, run k of `a` beside run k of `b`.

    Compared are the means over the runs. A study is resampled in all runs at once, and where
    models are exchanged in it, they are in all runs. `sd` is the standard deviation of the runs'
    differences: with few seeds, a difference that it dwarfs may be a seed's luck, whatever its p.

    Raises:
        UserError: no run, unequal numbers of them, different studies or protocols, or fewer than
            one resample.
    """
    if len(a) != len(b):
        raise UserError(
            f"expected two models with one run a seed each; got {len(a)} and {len(b)} runs;"
            " compare the seeds that both have"
        )
    _require_same_studies([*a, *b])
    num_studies = len(a[0])
    weights = study_weights(num_studies, resamples, seed)
    exchanged = np.random.default_rng(seed).integers(0, 2, (resamples, num_studies))
    exchanged = exchanged.astype(np.float64)
    resampled, by_chance = [], []
    for of_a, of_b in zip(map(_statistics, a), map(_statistics, b), strict=True):
        resampled.append(_differences(weights @ of_a, weights @ of_b, num_studies))
        moved = exchanged @ (of_b - of_a)
        sums_a, sums_b = of_a.sum(axis=0) + moved, of_b.sum(axis=0) - moved
        by_chance.append(_differences(sums_a, sums_b, num_studies))

    result = {}
    for metric in resampled[0]:
        observed = np.array(
            [x.corpus[metric] - y.corpus[metric] for x, y in zip(a, b, strict=True)]
        )
        mean = float(observed.mean())
        chances = np.mean([values[metric] for values in by_chance], axis=0)
        extreme = int(np.sum(np.abs(chances) >= abs(mean) - 1e-12))
        result[metric] = {
            "difference": mean,
            **interval(np.mean([values[metric] for values in resampled], axis=0)),
            "p": (1 + extreme) / (1 + resamples),
            **_sd(observed),
        }
    return result


def beats_floor(
    model: Scores, floors: Mapping[str, Scores], *, resamples: int, seed: int
) -> dict[str, dict[str, float | str]]:
    """Per metric the model minus whichever floor scores higher, and that floor's name."""
    against = {
        floor: difference(model, scores, resamples=resamples, seed=seed)
        for floor, scores in floors.items()
    }
    stronger = {
        metric: max(floors, key=lambda floor: floors[floor].corpus[metric])
        for metric in model.corpus
    }
    return {
        metric: {**against[floor][metric], "floor": floor} for metric, floor in stronger.items()
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the order in which they came."""
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected


@lru_cache(maxsize=1)  # drawing them is most of a bootstrap's time
def study_weights(num_studies: int, resamples: int, seed: int) -> np.ndarray:
    """(B, N): how often each resample draws each study; the same for every system of N studies.

    Raises:
        UserError: fewer than one resample.
    """
    if resamples < 1:
        raise UserError(f"expected at least 1 resample; got {resamples}; 1000 is usual")
    each = np.full(num_studies, 1 / num_studies)
    drawn = np.random.default_rng(seed).multinomial(num_studies, each, resamples)
    weights = drawn.astype(np.float64)
    weights.setflags(write=False)
    return weights


def interval(values: np.ndarray) -> dict[str, float]:
    """`low` and `high`: the middle 95 % of a resampled score (B,)."""
    low, high = np.percentile(values, PERCENTILES)
    return {"low": float(low), "high": float(high)}


def _require_same_studies(runs: Sequence[Scores]) -> None:
    if not runs:
        raise UserError("expected at least one run to take a mean of; got none; train one")
    numbers = sorted({len(run) for run in runs})
    if len(numbers) > 1:
        raise UserError(
            f"expected systems on the same studies; got {' and '.join(map(str, numbers))} studies;"
            " score all on the same split"
        )
    if len({run.references for run in runs}) > 1:
        raise UserError(
            "expected systems scored against the same references; got different ones;"
            " score all on the same split under one protocol"
        )


def _sd(values: np.ndarray) -> dict[str, float]:
    return {"sd": float(values.std(ddof=1))} if len(values) > 1 else {}


def _statistics(scores: Scores) -> np.ndarray:
    """(N, 11) or, with METEOR, (N, 34): BLEU's counts, ROUGE-L, METEOR's counts."""
    columns = [scores.bleu_counts, scores.studies["ROUGE-L"][:, None]]
    if scores.meteor_counts is not None:
        columns.append(scores.meteor_counts)
    return np.hstack(columns)


def _corpus_scores(sums: np.ndarray, num_studies: int) -> dict[str, np.ndarray]:
    """(B, 11 or 34) sums of statistics -> metric -> (B,)."""
    by_order = bleu_of(sums[:, :NUM_BLEU_COUNTS])
    values = dict(zip(BLEU, by_order.T, strict=True))
    values["ROUGE-L"] = sums[:, NUM_BLEU_COUNTS] / num_studies
    of_meteor = sums[:, NUM_BLEU_COUNTS + 1 :]
    if of_meteor.size:
        values["METEOR"] = meteor_of(of_meteor)
    return {metric: values[metric] for metric in METRICS if metric in values}


def _differences(a: np.ndarray, b: np.ndarray, num_studies: int) -> dict[str, np.ndarray]:
    scores_a, scores_b = _corpus_scores(a, num_studies), _corpus_scores(b, num_studies)
    return {metric: scores_a[metric] - scores_b[metric] for metric in scores_a}
