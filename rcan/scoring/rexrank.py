"""ReXrank's BLEU-2 and the form in which its evaluation takes predictions (MIT, rajpurkarlab).

Its IU X-ray test set is R2Gen's: the same 590 ids and findings. Its BLEU (repository
CXR-Report-Metric, file CXRMetric/run_eval.py, by the package fast-bleu) is the mean over studies of
the BLEU-2 of each, on texts as they are given: lower case, a full stop is a word, commas stay with
theirs. So it is no corpus BLEU-2 of ours: neither are words cleaned nor counts summed.
"""

from collections.abc import Mapping, Sequence
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from rcan.errors import UserError
from rcan.evaluation.bleu import ngrams
from rcan.evaluation.statistics import interval, study_weights
from rcan.reading import read_json

NAME = "ReXrank BLEU-2"
DATA = "iu_xray"  # whose test split it is
FILE = "rexrank.json"  # of a published run: the score
WRITTEN = "model_prediction"  # what a prediction is called there
EPSILON = 0.1  # matched bigrams where none matches: method 1 of Chen and Cherry, 2014


def rexrank_bleu(
    predictions: Sequence[str], references: Sequence[str], *, resamples: int, seed: int
) -> dict[str, float]:
    """`score`, `low`, `high` of texts as they are given, in one order."""
    pairs = zip(predictions, references, strict=True)
    each = np.array([_bleu_2(_words(written), _words(wanted)) for written, wanted in pairs])
    resampled = study_weights(len(each), resamples, seed) @ each / len(each)
    return {"score": float(each.mean()), **interval(resampled)}


def read_rexrank(path: Path, remedy: str) -> dict[str, float]:
    """A kept score as `rexrank_bleu` gives it; raises UserError where it is damaged."""
    ends = dict.fromkeys(("score", "low", "high"), float)
    held: dict[str, float] = read_json(path, {"BLEU-2": ends}, "a score", remedy)["BLEU-2"]
    return held


def _words(text: str) -> list[str]:
    return [word for word in text.lower().replace(".", " .").split(" ") if word]


def _bleu_2(written: list[str], wanted: list[str]) -> float:
    known, matched, told = ngrams(wanted), [0.0, 0.0], [0, 0]
    for gram, count in ngrams(written).items():
        if len(gram) <= 2:
            told[len(gram) - 1] += count
            matched[len(gram) - 1] += min(count, known[gram])
    if not matched[0]:
        return 0.0
    precisions = matched[0] / told[0] * (matched[1] or EPSILON) / max(1, told[1])
    brevity = min(1.0, exp(1 - len(wanted) / len(written)))
    return brevity * sqrt(precisions)


def submission(
    predictions: Mapping[str, str], references: Mapping[str, str], source: Path
) -> dict[str, dict[str, Any]]:
    """id -> what is known of the study and `model_prediction`, as ReXrank's evaluation reads it.

    Of ReXrank's own test file or R2Gen's annotation.json, `source`, a study keeps all that it has
    there; of others the findings alone. Ids are the references', in their order.
    """
    known = _records(source)
    return {
        name: {
            **known.get(name, {}),
            "section_findings": text,
            "section_impression": known.get(name, {}).get("section_impression", ""),
            WRITTEN: predictions[name],
        }
        for name, text in references.items()
    }


def _records(source: Path) -> dict[str, dict[str, Any]]:
    if source.suffix.lower() != ".json":
        return {}
    try:
        held: dict[str, Any] = read_json(source, dict, "studies", "give another file")
    except UserError:  # a list
        return {}
    if all(isinstance(record, dict) for record in held.values()):
        return held
    studies = [one for split in held.values() if isinstance(split, list) for one in split]
    return {
        str(one["id"]): {key: one[key] for key in ("image_path", "split") if key in one}
        for one in studies
        if isinstance(one, dict) and "id" in one
    }
