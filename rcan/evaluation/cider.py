"""CIDEr-D (Vedantam et al., CVPR 2015) over word ids, equal to ruotianluo/cider's.

An n-gram ω weighs g(ω) = count · (ln N - ln max(1, df(ω))), where N reports of training, df(ω) of
them with ω, tell what is rare. A report h scores against its one reference r

    10/4 · Σ_{n=1..4} Σ_ω min(g_h, g_r) g_r / (‖g_h‖ ‖g_r‖) · exp(-(|h| - |r|)² / (2 · 6²)),

0 where a norm is 0. Fast enough for a reward: the references' weights are worked out once, and all
reports of a batch are scored by a few sorts and sums.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rcan.errors import UserError
from rcan.evaluation.bleu import MAX_ORDER

SIGMA = 6.0


class _Grams(NamedTuple):
    """The different n-grams of some reports, by report and then by code."""

    report: np.ndarray  # (G,) which report
    code: np.ndarray  # (G,) which n-gram: its words as digits, none of them 0
    times: np.ndarray  # (G,) how often


class CiderD:
    """Scores of reports against the references of the studies that they are written for.

    `references`: ids of all training reports, in order. To count the end mark as a word, leave
    eos in references and reports alike: without it a fragment scores as well as a whole report.

    Raises:
        UserError: no words to refer to, or more different ones than make 4-grams a number each.
    """

    def __init__(self, references: Sequence[Sequence[int]], vocabulary_size: int) -> None:
        self.base = vocabulary_size + 1
        self.lengths = np.array([len(report) for report in references])
        if self.base**MAX_ORDER >= 2**63 or not self.lengths.any():
            raise UserError(
                "CIDEr-D needs training reports of at most 55,107 different words; got "
                f"{self.lengths.sum():,} words, of {vocabulary_size:,}: raise data.min_freq"
            )
        self.log_n = np.log(len(references))
        grams = self._grams(references)
        self.codes, gram, df = np.unique(grams.code, return_inverse=True, return_counts=True)
        self.idf = self.log_n - np.log(df)
        self.weights = grams.times * self.idf[gram]
        self.keys = grams.report * len(self.codes) + gram  # ascending, as `grams` are
        self.norms = self._norms(grams, self.weights, len(references))

    def __call__(self, reports: Sequence[Sequence[int]], numbers: np.ndarray) -> np.ndarray:
        """(n,) float64: CIDEr-D, 0 to 10, of each report against reference `numbers[i]`, (n,)."""
        grams = self._grams(reports)
        place = np.searchsorted(self.codes, grams.code).clip(max=len(self.codes) - 1)
        known = self.codes[place] == grams.code
        written = grams.times * np.where(known, self.idf[place], self.log_n)
        key = numbers[grams.report] * len(self.codes) + place
        at = np.searchsorted(self.keys, key).clip(max=len(self.keys) - 1)
        wanted = np.where(known & (self.keys[at] == key), self.weights[at], 0.0)
        shared = self._sums(grams, np.minimum(written, wanted) * wanted, len(reports))
        norms = self._norms(grams, written, len(reports)) * self.norms[numbers]
        cosines = np.divide(shared, norms, out=np.zeros(shared.shape), where=norms > 0)
        excess = np.array([len(report) for report in reports]) - self.lengths[numbers]
        scores: np.ndarray = 10 * cosines.mean(1) * np.exp(-(excess**2) / (2 * SIGMA**2))
        return scores

    def _grams(self, reports: Sequence[Sequence[int]]) -> _Grams:
        lengths = np.array([len(report) for report in reports])
        digits = np.concatenate([np.asarray(report, dtype=np.int64) for report in reports]) + 1
        left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(digits))  # words to the end
        report = np.repeat(np.arange(len(reports)), lengths)
        found, code = [], np.zeros_like(digits)
        for order in range(MAX_ORDER):
            code = code[: len(digits) - order] * self.base + digits[order:]
            inside = left[: len(code)] > order
            found.append(np.stack([report[: len(code)][inside], code[inside]]))
        rows, codes = np.concatenate(found, axis=1)
        different, gram = np.unique(codes, return_inverse=True)
        keys, times = np.unique(rows * len(different) + gram, return_counts=True)
        return _Grams(keys // len(different), different[keys % len(different)], times)

    def _sums(self, grams: _Grams, values: np.ndarray, num_reports: int) -> np.ndarray:
        """(n, 4): sums over each report's n-grams of each order."""
        order = np.searchsorted(self.base ** np.arange(1, MAX_ORDER), grams.code, side="right")
        size = num_reports * MAX_ORDER
        sums = np.bincount(grams.report * MAX_ORDER + order, weights=values, minlength=size)
        return sums.reshape(num_reports, MAX_ORDER)

    def _norms(self, grams: _Grams, weights: np.ndarray, num_reports: int) -> np.ndarray:
        norms: np.ndarray = np.sqrt(self._sums(grams, weights**2, num_reports))
        return norms
