"""BLEU (Papineni et al., 2002; §4.1.3) from ten counts a study, equal to pycocoevalcap's.

Corpus BLEU is a formula over *summed* counts, so a bootstrap resample costs a sum of numbers, not a
second pass over the texts.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rcan.errors import UserError

MAX_ORDER = 4
NUM_COUNTS = 2 * MAX_ORDER + 2
BLEU = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4")
TINY, SMALL = 1e-15, 1e-9  # pycocoevalcap's guards against 0 / 0


def ngrams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    """How often each n-gram of 1 to 4 words occurs."""
    grams: Counter[tuple[str, ...]] = Counter()
    for order in range(1, MAX_ORDER + 1):
        grams.update(zip(*(words[start:] for start in range(order)), strict=False))
    return grams


def bleu_counts(predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """(N, 10) int64: 1- to 4-grams that match (4) and that were written (4), words of the
    prediction, words of the reference."""
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        words, reference_words = prediction.split(), reference.split()
        written, wanted = ngrams(words), ngrams(reference_words)
        matched = [0] * MAX_ORDER
        for gram in written.keys() & wanted.keys():
            matched[len(gram) - 1] += min(written[gram], wanted[gram])
        possible = [max(0, len(words) - order) for order in range(MAX_ORDER)]
        rows.append([*matched, *possible, len(words), len(reference_words)])
    return np.array(rows, dtype=np.int64).reshape(-1, NUM_COUNTS)


def bleu_of(counts: np.ndarray) -> np.ndarray:
    """BLEU-1 to -4 from counts, one study's or the sum over many: (..., 10) -> (..., 4).

    No smoothing but pycocoevalcap's guards; a text of fewer than n words scores about 0 at order n.
    """
    matched, written = counts[..., :MAX_ORDER], counts[..., MAX_ORDER:-2]
    precisions = np.cumprod((matched + TINY) / (written + SMALL), axis=-1)
    ratio = (counts[..., -2] + TINY) / (counts[..., -1] + SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return precisions ** (1 / np.arange(1, MAX_ORDER + 1)) * brevity[..., None]


def bleu(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU alone, from our own counts: cheap enough for every epoch.

    Raises:
        UserError: no studies, or unequal numbers of them.
    """
    check_pairs(predictions, references)
    values = bleu_of(bleu_counts(predictions, references).sum(axis=0))
    return dict(zip(BLEU, values.tolist(), strict=True))


def check_pairs(predictions: Sequence[str], references: Sequence[str]) -> None:
    """Raise UserError unless there is one prediction a reference, and at least one."""
    if len(predictions) != len(references):
        raise UserError(
            f"expected one prediction a reference; got {len(predictions)} predictions and"
            f" {len(references)} references; check that they are of the same split"
        )
    if not references:
        raise UserError("expected at least one study to score; got none; check the split")


def bleu_of_constant(text: str, references: Sequence[str]) -> float:
    """BLEU-4 of one text given for all studies: the floor of a validation split, for instance."""
    return bleu([text] * len(references), references)["BLEU-4"]
