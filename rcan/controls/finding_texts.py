"""Reports that follow from a set of findings alone, put together from sentences of train.

`Template`: the best constant report without its sentences that contradict the findings, and with
one sentence of train for each finding that it does not name. `FittedTexts`: for each set of
findings the constant that scores best on train's reports of the studies most like it.
"""

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr

import numpy as np

from rcan.evaluation.floors import best_constant
from rcan.evaluation.labelers import Labeler
from rcan.text.report_sentences import sentences_of

Findings = frozenset[str]

AVOIDED = 0.5  # a finding contradicts a sentence that occurs with it this much less than by chance
ALIKE = 30  # train reports that a text is fitted to, at least


class Template:
    """`constant`: the report to begin with; `texts`, `known`: reports and findings of train."""

    def __init__(
        self, constant: str, texts: Sequence[str], known: Sequence[Findings], labeler: Labeler
    ) -> None:
        reports = [sentences_with_stops(text) for text in texts]
        self.sentences = sentences_with_stops(constant)
        self._named = {sentence: labeler.read(sentence) for sentence in self.sentences}
        self._against = {
            sentence: _against(sentence, reports, known, labeler.findings)
            for sentence in self.sentences
        }
        self._telling = _telling(reports, known, labeler)

    def text(self, findings: Findings) -> str:
        """The report of a study with these findings."""
        kept = [
            sentence
            for sentence in self.sentences
            if self._named[sentence] <= findings and not self._against[sentence] & findings
        ]
        named = {finding for sentence in kept for finding in self._named[sentence]}
        added = [
            sentence
            for finding, sentence in self._telling.items()
            if finding in findings and finding not in named
        ]
        return " ".join([*kept, *added])


def sentences_with_stops(text: str) -> list[str]:
    """The sentences of a cleaned report, each with its full stop."""
    return [f"{' '.join(words)} ." for words in sentences_of(text) if words]


def _against(
    sentence: str, reports: Sequence[Sequence[str]], known: Sequence[Findings],
    findings: Sequence[str],
) -> Findings:  # fmt: skip
    """The findings that contradict a sentence: it stands in fewer than AVOIDED of as many reports
    of theirs as chance would have it. Both numbers have one added: few reports prove nothing."""
    having = [found for report, found in zip(reports, known, strict=True) if sentence in report]
    share = len(having) / len(known)
    return frozenset(
        finding
        for finding in findings
        if 1 + sum(finding in found for found in having)
        < AVOIDED * (1 + share * sum(finding in found for found in known))
    )


def _telling(
    reports: Sequence[Sequence[str]], known: Sequence[Findings], labeler: Labeler
) -> dict[str, str]:
    """Finding -> the sentence that names it, and no other, in most reports of its studies; of
    several the shortest."""
    counts: Counter[tuple[str, str]] = Counter()
    for report, found in zip(reports, known, strict=True):
        for sentence in report:
            named = labeler.read(sentence)
            if len(named) == 1 and named <= found:
                (finding,) = named
                counts[finding, sentence] += 1
    best: dict[str, str] = {}
    for finding, sentence in sorted(counts, key=lambda c: (-counts[c], len(c[1].split()), c[1])):
        best.setdefault(finding, sentence)
    return {finding: best[finding] for finding in labeler.findings if finding in best}


class FittedTexts:
    """`texts`, `known`: reports and findings of train; `findings`: all that there are."""

    def __init__(
        self, texts: Sequence[str], known: Sequence[Findings], findings: Sequence[str]
    ) -> None:
        self._texts, self._findings = texts, findings
        self._known = self._table(known)
        self._found: dict[Findings, str] = {}

    def _table(self, known: Sequence[Findings]) -> np.ndarray:
        return np.array([[name in found for name in self._findings] for found in known])

    def text(self, findings: Findings) -> str:
        """The report of a study with these findings."""
        if findings not in self._found:
            apart = (self._known != self._table([findings])).sum(1)
            farthest = np.sort(apart)[min(ALIKE, len(apart)) - 1]
            alike = [self._texts[place] for place in np.flatnonzero(apart <= farthest).tolist()]
            with redirect_stderr(io.StringIO()):  # a bar of progress a set would be hundreds
                self._found[findings] = best_constant(alike, alike, num_starts=2)
        return self._found[findings]
