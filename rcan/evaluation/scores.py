"""The six scores of a set of predictions, with the counts that a bootstrap needs.

BLEU and ROUGE-L are pycocoevalcap's own numbers, METEOR is that of its jar. Corpus BLEU and corpus
METEOR come from summed counts and are *not* the mean of the studies; ROUGE-L is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rcan.evaluation.bleu import BLEU, bleu_counts, check_pairs
from rcan.evaluation.meteor import meteor_counts, meteor_of, without_perfect_chunks

METRICS = (*BLEU, "METEOR", "ROUGE-L")


@dataclass(frozen=True)
class Scores:
    """Scores of N studies; without METEOR, its key is absent and its counts are None."""

    corpus: dict[str, float]
    studies: dict[str, np.ndarray]  # metric -> (N,)
    bleu_counts: np.ndarray  # (N, 10), see `bleu.bleu_counts`
    meteor_counts: np.ndarray | None  # (N, 23), perfect pairs' chunks already 0

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
    counts: list[np.ndarray | None] = [None] * len(systems)
    if meteor:
        together = meteor_counts(
            [text for predictions, _ in systems for text in predictions],
            [text for _, references in systems for text in references],
            java=java,
        )
        ends = np.cumsum([len(predictions) for predictions, _ in systems])
        counts = list(np.split(without_perfect_chunks(together), ends[:-1]))
    return [_score(*system, of_meteor) for system, of_meteor in zip(systems, counts, strict=True)]


def signature() -> str:
    """The facts without which these scores mean nothing, in one line."""
    return (
        f"BLEU, ROUGE-L: pycocoevalcap {version('pycocoevalcap')}; METEOR: 1.5 en, from counts;"
        " words: split at spaces, lower case, full stops scored; references: 1; smoothing: none"
    )


def _score(
    predictions: Sequence[str], references: Sequence[str], of_meteor: np.ndarray | None
) -> Scores:
    corpus, studies = _bleu_and_rouge_l(predictions, references)
    if of_meteor is not None:
        corpus["METEOR"] = float(meteor_of(of_meteor.sum(axis=0)))
        studies["METEOR"] = meteor_of(of_meteor)
    return Scores(
        corpus={metric: corpus[metric] for metric in METRICS if metric in corpus},
        studies={metric: studies[metric] for metric in METRICS if metric in studies},
        bleu_counts=bleu_counts(predictions, references),
        meteor_counts=of_meteor,
    )


def _bleu_and_rouge_l(
    predictions: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """pycocoevalcap's corpus value and values per study."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge

    written = {study: [text] for study, text in enumerate(predictions)}
    wanted = {study: [text] for study, text in enumerate(references)}
    of_corpus, of_studies = Bleu(4).compute_score(wanted, written, verbose=0)
    corpus = dict(zip(BLEU, map(float, of_corpus), strict=True))
    studies = dict(zip(BLEU, map(np.array, of_studies), strict=True))

    _, items = Rouge().compute_score(wanted, written)
    # Upstream splits a blank text into empty words, which can match: two blank texts would score 1.
    pairs = zip(predictions, references, strict=True)
    blank = [not (text.strip() and reference.strip()) for text, reference in pairs]
    studies["ROUGE-L"] = np.where(blank, 0.0, items)
    corpus["ROUGE-L"] = float(np.mean(studies["ROUGE-L"]))
    return corpus, studies
