"""Precision, recall and F1 of the findings that reports tell of, against the studies' labels.

All are formulas over three numbers a study and finding (known, told, both), so a bootstrap over
studies is a product of weights and counts here too. What is 0 / 0 has no score: None.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rcan.evaluation.labelers import Labeler
from rcan.evaluation.schema import KINDS
from rcan.evaluation.statistics import PERCENTILES, study_weights

Found = Sequence[frozenset[str]]  # a set a study


def compare_findings(
    labeler: Labeler,
    systems: Mapping[str, Sequence[str]],
    labels: Sequence[tuple[str, ...] | None],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any] | None:
    """What each system's reports tell of against the labels of the same studies, in their order.

    Returns:
        `labeler`, `num_studies` (those with labels; others do not count) and, a system, `macro`,
        `micro` and `per_finding` (see `accuracy`). Where a labeler reads side, size and place,
        `with_attributes` holds `micro` of the findings told with all of them right, a system.
        None if no study has labels.
    """
    known = [None if each is None else labeler.known(each) for each in labels]
    rows = [place for place, each in enumerate(known) if each is not None]
    if not rows:
        return None
    options = {"resamples": resamples, "seed": seed}
    wanted = [known[row] or frozenset() for row in rows]
    read = {system: _read(labeler.read, texts, rows) for system, texts in systems.items()}
    result: dict[str, Any] = {"labeler": labeler.name, "num_studies": len(rows)}
    for system, found in read.items():
        result[system] = accuracy(found, wanted, labeler.findings, **options)
    if labeler.read_exactly:
        exactly = [frozenset(labels[row] or ()) for row in rows]
        result["with_attributes"] = {
            system: _micro(_sizes(_read(labeler.read_exactly, texts, rows), exactly), **options)
            for system, texts in systems.items()
        }
    return result


def accuracy(
    found: Found, known: Found, findings: Sequence[str], *, resamples: int, seed: int
) -> dict[str, Any]:
    """`macro`, `micro`: score -> `score`, `low`, `high`; `per_finding`: the same of each, with
    `positives` (studies that have it), `predicted` (reports that tell of it) and `hits` (both).

    Macro is the mean over the findings that some study has; one that no report tells of counts 0
    in it. Micro sums over findings and studies first.
    """
    in_known, in_found = (
        np.array([[name in each for name in findings] for each in sets], dtype=np.float64)
        for sets in (known, found)
    )
    counts = np.stack([in_known, in_found, in_known * in_found], axis=-1)  # (N, findings, 3)
    totals = counts.sum(axis=0)
    resampled = np.tensordot(study_weights(len(counts), resamples, seed), counts, axes=1)
    each, each_resampled = _scores(totals), _scores(resampled)
    return {
        "macro": {
            name: _value(_macro(each[name], totals), _macro(each_resampled[name], resampled))
            for name in KINDS
        },
        "micro": _micro(counts.sum(axis=1), resamples=resamples, seed=seed),
        "per_finding": {
            finding: {
                "positives": int(totals[place, 0]),
                "predicted": int(totals[place, 1]),
                "hits": int(totals[place, 2]),
                **{
                    name: _value(each[name][place], each_resampled[name][:, place])
                    for name in KINDS
                },
            }
            for place, finding in enumerate(findings)
        },
    }


def _read(read: Callable[[str], frozenset[str]], texts: Sequence[str], rows: list[int]) -> Found:
    """What the reports of some studies tell of; one that occurs again is read once."""
    of_text = {text: read(text) for text in {texts[row] for row in rows}}
    return [of_text[texts[row]] for row in rows]


def _sizes(found: Found, known: Found) -> np.ndarray:
    """(N, 3): how many are known, told, and both, of each study."""
    sizes = [
        (len(wanted), len(told), len(wanted & told))
        for told, wanted in zip(found, known, strict=True)
    ]
    return np.array(sizes, dtype=np.float64)


def _scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(..., 3) counts -> precision, recall, F1, each (...); NaN where it is 0 / 0."""
    known, told, both = np.moveaxis(counts, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"precision": both / told, "recall": both / known, "f1": 2 * both / (known + told)}


def _macro(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean over the findings of (..., F), NaN if no study has any."""
    there = counts[..., 0] > 0
    total = np.where(there, np.nan_to_num(values), 0).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: np.ndarray = total / there.sum(axis=-1)
    return mean


def _micro(counts: np.ndarray, *, resamples: int, seed: int) -> dict[str, Any]:
    """Of (N, 3) counts."""
    whole = _scores(counts.sum(axis=0))
    resampled = _scores(study_weights(len(counts), resamples, seed) @ counts)
    return {name: _value(whole[name], resampled[name]) for name in KINDS}


def _value(score: np.ndarray, resampled: np.ndarray) -> dict[str, float | None]:
    """A score with its interval, over the resamples that have one."""
    if np.isnan(score) or np.isnan(resampled).all():  # the latter with a few studies alone
        return {"score": None, "low": None, "high": None}
    low, high = np.nanpercentile(resampled, PERCENTILES)
    return {"score": float(score), "low": float(low), "high": float(high)}
