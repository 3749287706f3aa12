"""ROUGE-L (Lin, 2004; §4.1.3) of single pairs, equal to pycocoevalcap's."""

from collections.abc import Sequence

import numpy as np

BETA = 1.2  # recall weighs BETA² times precision


def rouge_l(predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """(N,) float64: the F-measure of each pair's longest common subsequence of words.

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
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
