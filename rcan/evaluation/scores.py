"""The six scores of a set of predictions, with the counts that a bootstrap needs.

BLEU and ROUGE-L equal pycocoevalcap's, METEOR is that of its jar. Corpus BLEU and corpus METEOR
come from summed counts and are *not* the mean of the studies; ROUGE-L is.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rcan.evaluation.bleu import BLEU, bleu_counts, bleu_of, check_pairs
from rcan.evaluation.meteor import meteor_counts, meteor_of, without_perfect_chunks
from rcan.evaluation.rouge import rouge_l

METRICS = (*BLEU, "METEOR", "ROUGE-L")


@dataclass(frozen=True)
class Scores:
    """Scores of N studies; without METEOR, its key is absent and its counts are None."""

    corpus: dict[str, float]
    studies: dict[str, np.ndarray]  # metric -> (N,)
    bleu_counts: np.ndarray  # (N, 10), see `bleu.bleu_counts`
    meteor_counts: np.ndarray | None  # (N, 23), perfect pairs' chunks already 0
    references: str  # digest: systems are compared on the same ones alone

    def __len__(self) -> int:
        return len(self.bleu_counts)


def score(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    meteor: bool = True,
    java: str | Path | None = None,
) -> Scores:
    """Score predictions against one reference each; without `meteor`, no Java is needed.

    A blank prediction, or a blank reference, scores 0.

    Raises:
        UserError: no studies, unequal numbers of them, or METEOR's Java failed.
    """
    return score_systems([(predictions, references)], meteor=meteor, java=java)[0]


def score_systems(
    systems: Sequence[tuple[Sequence[str], Sequence[str]]],
    *,
    meteor: bool = True,
    java: str | Path | None = None,
) -> list[Scores]:
    """`score` for several (predictions, references) with a single start of Java."""
    for predictions, references in systems:
        check_pairs(predictions, references)
    if not meteor:
        return [_without_meteor(*system) for system in systems]
    with ThreadPoolExecutor(1) as aside:  # Java aligns while the rest is scored here
        aligned = aside.submit(
            meteor_counts,
            [text for predictions, _ in systems for text in predictions],
            [text for _, references in systems for text in references],
            java=java,
        )
        scored = [_without_meteor(*system) for system in systems]
        counts = without_perfect_chunks(aligned.result())
    ends = np.cumsum([len(scores) for scores in scored])
    return [_with_meteor(*both) for both in zip(scored, np.split(counts, ends[:-1]), strict=True)]


def signature() -> str:
    """The facts without which these scores mean nothing, in one line."""
    return (
        f"BLEU, ROUGE-L: as pycocoevalcap {version('pycocoevalcap')}; METEOR: 1.5 en, from counts;"
        " words: split at spaces, lower case, full stops scored; references: 1; smoothing: none"
    )


def _without_meteor(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    counts = bleu_counts(predictions, references)
    of_rouge = rouge_l(predictions, references)
    corpus = dict(zip(BLEU, bleu_of(counts.sum(axis=0)).tolist(), strict=True))
    return Scores(
        corpus=corpus | {"ROUGE-L": float(np.mean(of_rouge))},
        studies=dict(zip(BLEU, bleu_of(counts).T, strict=True)) | {"ROUGE-L": of_rouge},
        bleu_counts=counts,
        meteor_counts=None,
        references=hashlib.sha256(json.dumps(list(references)).encode()).hexdigest(),
    )


def _with_meteor(scores: Scores, counts: np.ndarray) -> Scores:
    corpus = scores.corpus | {"METEOR": float(meteor_of(counts.sum(axis=0)))}
    studies = scores.studies | {"METEOR": meteor_of(counts)}
    return Scores(
        corpus={metric: corpus[metric] for metric in METRICS},
        studies={metric: studies[metric] for metric in METRICS},
        bleu_counts=scores.bleu_counts,
        meteor_counts=counts,
        references=scores.references,
    )
