"""The length test: from BLEU-1 to -4 alone, the number of words that were written.

Corpus BLEU of N studies with one reference each and R words in the references:
BLEU-n = BP(T) (p_1 ... p_n)^(1/n), p_k = c_k / (T - (k - 1) N), BP = min(1, exp(1 - R / T)).
T, all words written, and c_k, the matching k-grams, are whole numbers, so for every T the printed
scores give four c_k, and only the true T gives four whole ones. It supposes reports of three
words or more, and R2Gen's scorer (pycocoevalcap: no smoothing).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from rcan.data.sets import data_set
from rcan.evaluation.protocols import reference
from rcan.scoring.references import Cleaner
from rcan.scoring.texts import read_annotation, read_texts

ORDERS = 4
MIN_DIGITS = 10  # printed after the point; with fewer, other lengths fit as well
MAX_WORDS = 200  # of a report on average, at most
MAX_CHANCE = 1e-3  # how many wrong lengths may be expected to fit by chance
ROUNDING = 1e-13  # of a double's own sums and roots, relative


@dataclass(frozen=True)
class Corpus:
    """The references that were scored against: studies, and words in all of them."""

    num_studies: int
    reference_words: int


# R2Gen's IU X-ray split (annotation.json: 296 and 590 studies), reports cleaned and cut to 59
# words as R2Gen's references are (rcan.evaluation.protocols, `paper`); a test counts them again.
PRESETS = {"iu_xray": {"val": Corpus(296, 10_304), "test": Corpus(590, 18_738)}}


def count_references(path: Path, data: str, max_length: int | None) -> dict[str, Corpus]:
    """val and test of an annotation.json, test of any other file; `paper` references.

    Rare words become `<unk>` there, one for one, so a vocabulary would change nothing.

    Args:
        data: whose cleaner, and whose length where `max_length` is None.

    Raises:
        UserError: the file cannot be read.
    """
    splits = read_annotation(path)
    if splits is None:
        splits = {"test": read_texts(path, "references")}
    clean, longest = Cleaner(data), max_length or data_set(data).max_length
    found: dict[str, Corpus] = {}
    for split in ("val", "test"):
        if split in splits:
            words = [
                len(reference(clean(text), "paper", (), longest).split())
                for text in splits[split].by_id.values()
            ]
            found[split] = Corpus(len(words), sum(words))
    return found


@dataclass(frozen=True)
class Solution:
    """What four scores give. `status`: solved, too few digits, not determined, or no BLEU."""

    status: str
    words: int | None = None  # T
    matches: tuple[int, ...] = ()  # c_1 to c_4


def solve(printed: Sequence[str], corpus: Corpus) -> Solution:
    """T from BLEU-1 to -4 as they were printed.

    `not determined`: no length fits (other references, another scorer), or several do.
    """
    try:
        decimals = [Decimal(text.strip()) for text in printed]
    except InvalidOperation:
        return Solution("no BLEU")
    if not all(number.is_finite() and 0 < number <= 1 for number in decimals):
        return Solution("no BLEU")
    exponents = [int(number.as_tuple().exponent) for number in decimals]
    if max(exponents) > -MIN_DIGITS:
        return Solution("too few digits")
    scores = np.array([float(number) for number in decimals])
    relative = 0.5 * 10.0 ** np.array(exponents) / scores + ROUNDING  # each score's own error
    lengths = np.arange((ORDERS - 1) * corpus.num_studies + 1, MAX_WORDS * corpus.num_studies + 1)
    matches = _matches(scores, lengths, corpus)  # (4, lengths)
    orders = np.arange(1, ORDERS + 1)
    # c_k is a ratio of BLEU-k to the k and BLEU-(k - 1) to the k - 1: their errors add up.
    errors = orders * relative + np.concatenate([[0.0], (orders * relative)[:-1]])
    tolerances = 1e-6 + matches * errors[:, None]
    if np.prod(np.minimum(1.0, 2 * tolerances), axis=0).sum() > MAX_CHANCE:
        return Solution("too few digits")
    whole = np.rint(matches)
    possible = (whole <= _written(lengths, corpus)).all(axis=0)
    fits = possible & (np.abs(matches - whole) <= tolerances).all(axis=0)
    if fits.sum() != 1:
        return Solution("not determined")
    place = int(np.flatnonzero(fits)[0])
    return Solution("solved", int(lengths[place]), tuple(whole[:, place].astype(int).tolist()))


def _written(lengths: np.ndarray, corpus: Corpus) -> np.ndarray:
    """(4, lengths): k-grams in T words of N reports."""
    return np.stack([lengths - order * corpus.num_studies for order in range(ORDERS)])


def _matches(scores: np.ndarray, lengths: np.ndarray, corpus: Corpus) -> np.ndarray:
    """(4, lengths): c_k for each T, as far from whole numbers as T is wrong."""
    brevity = np.exp(np.minimum(0.0, 1 - corpus.reference_words / lengths))
    products = (scores[:, None] / brevity) ** np.arange(1, ORDERS + 1)[:, None]  # p_1 ... p_k
    precisions = products / np.concatenate([np.ones((1, len(lengths))), products[:-1]])
    matches: np.ndarray = precisions * _written(lengths, corpus)
    return matches
