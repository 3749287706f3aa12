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
from rcan.evaluation.paraphrases import KeptParts

METRICS = (*BLEU, "METEOR", "ROUGE-L")
ROUGE_BETA = 1.2  # recall weighs ROUGE_BETA² times precision


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
    parts: KeptParts | None = None,
) -> list[Scores]:
    """`score` for several (predictions, references) with a single start of Java.

    `parts`: see `meteor.meteor_counts`.
    """
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
            parts=parts,
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


def scores_from_counts(
    bleu_counts: np.ndarray, of_rouge: np.ndarray, meteor_counts: np.ndarray | None, references: str
) -> Scores:
    """The scores of N studies from their counts (see `Scores`) and their ROUGE-L, (N,)."""
    corpus = dict(zip(BLEU, bleu_of(bleu_counts.sum(axis=0)).tolist(), strict=True))
    studies = dict(zip(BLEU, bleu_of(bleu_counts).T, strict=True))
    if meteor_counts is not None:
        corpus["METEOR"] = float(meteor_of(meteor_counts.sum(axis=0)))
        studies["METEOR"] = meteor_of(meteor_counts)
    return Scores(
        corpus=corpus | {"ROUGE-L": float(np.mean(of_rouge))},
        studies=studies | {"ROUGE-L": of_rouge},
        bleu_counts=bleu_counts,
        meteor_counts=meteor_counts,
        references=references,
    )


def scores_of_some(scores: Scores, rows: np.ndarray) -> Scores:
    """The scores of some of the studies alone; `rows` are their places, (M,) int."""
    chosen = hashlib.sha256(f"{scores.references} {rows.tolist()}".encode()).hexdigest()
    of_meteor = None if scores.meteor_counts is None else scores.meteor_counts[rows]
    return scores_from_counts(
        scores.bleu_counts[rows], scores.studies["ROUGE-L"][rows], of_meteor, chosen
    )


def _without_meteor(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    digest = hashlib.sha256(json.dumps(list(references)).encode()).hexdigest()
    counts = bleu_counts(predictions, references)
    return scores_from_counts(counts, rouge_l(predictions, references), None, digest)


def _with_meteor(scores: Scores, counts: np.ndarray) -> Scores:
    of_rouge = scores.studies["ROUGE-L"]
    return scores_from_counts(scores.bleu_counts, of_rouge, counts, scores.references)


def rouge_l(predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """(N,) float64: ROUGE-L (Lin, 2004; §4.1.3), the F-measure of each pair's longest common
    subsequence of words, equal to pycocoevalcap's.

    A blank prediction, or a blank reference, scores 0.
    """
    return np.array([_f_measure(*pair) for pair in zip(predictions, references, strict=True)])


def common_length(words: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): a row of the usual table is one integer with a bit a word of `words`,
    0 where the length grows.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    everywhere = row = (1 << len(words)) - 1
    for word in other:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & everywhere
    return len(words) - row.bit_count()


def _f_measure(prediction: str, reference: str) -> float:
    # Upstream splits a blank text into empty words, which can match: two blank texts would score 1.
    if not (prediction.strip() and reference.strip()):
        return 0.0
    words, reference_words = prediction.split(" "), reference.split(" ")  # upstream's, not split()
    common = common_length(words, reference_words)
    if common == 0:
        return 0.0
    precision, recall = common / len(words), common / len(reference_words)
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)
