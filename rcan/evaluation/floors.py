"""Floors: what one report, the same for every study, scores. A model must beat both.

`most_frequent` is what a collapsed model writes. `best_constant` is the strongest rival without an
image: whole sentences of train, put together to maximise corpus BLEU-4 on the *validation*
references (the test split is never looked at). On IU X-ray it reaches most published scores.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence

import numpy as np
from tqdm import tqdm

from rcan.errors import UserError
from rcan.evaluation.bleu import MAX_ORDER, bleu_of, ngrams
from rcan.evaluation.kept_floors import KeptFloors
from rcan.evaluation.protocols import PROTOCOLS, reference

Sentence = tuple[str, ...]  # its words, the full stop included
Report = tuple[Sentence, ...]

MAX_SENTENCES, MAX_REPORTS = 500, 5000  # the most frequent; all of IU X-ray, a bound for MIMIC-CXR


def most_frequent(train_texts: Sequence[str]) -> str:
    """The commonest report of train; among equals, the one that comes first.

    Raises:
        UserError: no reports.
    """
    if not train_texts:
        raise UserError("expected train reports to choose a floor from; got none; check the split")
    return Counter(train_texts).most_common(1)[0][0]


def best_constant(
    train_texts: Sequence[str],
    references: Sequence[str],
    *,
    min_count: int = 3,
    num_starts: int = 12,
) -> str:
    """The constant report of train sentences with the best corpus BLEU-4 on `references`.

    Hill-climbing over insertions, replacements, moves and deletions of one sentence, begun from the
    empty report and from the best whole reports. Greedy, so a better constant may exist;
    deterministic. On IU X-ray: about 6 s, validation BLEU-4 .21.

    Args:
        train_texts: cleaned reports.
        references: what to score against: validation references under the protocol in question.
        min_count: a sentence counts if train has it this often; lowered where none has.
        num_starts: climbs, the one from the empty report included.

    Raises:
        UserError: no reports, or no references.
    """
    if not train_texts or not references:
        raise UserError(
            f"expected train reports and validation references to search a constant report; got"
            f" {len(train_texts)} and {len(references)}; check the splits"
        )
    table = _MatchTable(references)
    sentences = _frequent_sentences(train_texts, min_count)
    if not sentences:  # every report is empty
        return most_frequent(train_texts)
    reports = [_split(text) for text, _ in Counter(train_texts).most_common(MAX_REPORTS)]
    order = np.argsort(-table.bleu_4(reports), kind="stable")
    starts = [(), *(reports[index] for index in order[: num_starts - 1])]
    best, best_score = starts[0], -1.0
    for start in tqdm(starts, desc="best constant report", unit="start", disable=None):
        found, found_score = _climb(start, sentences, table)
        if found_score > best_score:
            best, best_score = found, found_score
    return _join(best)


def choose_floors(
    train_texts: Sequence[str],
    val_texts: Sequence[str],
    *,
    vocabulary: Container[str],
    max_length: int,
) -> KeptFloors:
    """Both floors under every protocol; `vocabulary`, `max_length`: see `protocols.reference`.

    Raises:
        UserError: no reports.
    """
    reports = {}
    for protocol in PROTOCOLS:
        targets = [reference(text, protocol, vocabulary, max_length) for text in val_texts]
        reports[protocol] = {
            "most_frequent": most_frequent(train_texts),
            "best_constant": best_constant(train_texts, targets),
        }
    return KeptFloors(reports, max_length)


class _MatchTable:
    """Corpus BLEU of a constant by look-up.

    The k-th time a report holds an n-gram, one more matches in each reference that holds it k times
    or more; `_holders[gram][k - 1]` is the number of those.
    """

    def __init__(self, references: Sequence[str]):
        self._num_references = len(references)
        self._num_words = sum(len(reference.split()) for reference in references)
        self._holders: dict[tuple[str, ...], list[int]] = {}
        for text in references:
            for gram, count in ngrams(text.split()).items():
                holders = self._holders.setdefault(gram, [])
                holders.extend([0] * (count - len(holders)))
                for times in range(count):
                    holders[times] += 1
        self._number = {gram: number for number, gram in enumerate(self._holders)}
        self._entries: dict[tuple[Sentence, Sentence], list[tuple[int, int, list[int]]]] = {}

    def bleu_4(self, reports: Iterable[Report]) -> np.ndarray:
        """(R,) corpus BLEU-4 of each report as the constant."""
        counts = np.array([self._counts(report) for report in reports], dtype=np.int64)
        return bleu_of(counts)[:, -1]

    def _counts(self, report: Report) -> list[int]:
        """The ten counts of `bleu_counts`, summed over the references."""
        matched = [0] * MAX_ORDER
        seen: dict[int, int] = {}
        context: Sentence = ()
        for sentence in report:
            for number, order, holders in self._ending_in(sentence, context):
                times = seen.get(number, 0)
                seen[number] = times + 1
                if times < len(holders):
                    matched[order] += holders[times]
            context = (context + sentence)[-(MAX_ORDER - 1) :]
        length = sum(map(len, report))
        written = [max(0, length - order) for order in range(MAX_ORDER)]
        totals = [self._num_references * count for count in (*written, length)]
        return [*matched, *totals, self._num_words]

    def _ending_in(self, sentence: Sentence, context: Sentence) -> list[tuple[int, int, list[int]]]:
        """(number, order - 1, holders) of the known n-grams whose last word is in `sentence`, when
        `context` (three words at most) stands before it. Each n-gram of a report ends in exactly
        one sentence, and the same sentences come up thousands of times, so this is remembered."""
        key = (context, sentence)
        if key not in self._entries:
            words = context + sentence
            grams = (
                words[end - order : end]
                for end in range(len(context) + 1, len(words) + 1)
                for order in range(1, min(MAX_ORDER, end) + 1)
            )
            self._entries[key] = [
                (self._number[gram], len(gram) - 1, self._holders[gram])
                for gram in grams
                if gram in self._holders
            ]
        return self._entries[key]


def _climb(
    start: Report, sentences: Sequence[Sentence], table: _MatchTable
) -> tuple[Report, float]:
    """Takes the best change at each place in turn, until a whole sweep finds none."""
    report, score = start, float(table.bleu_4([start])[0])
    improved = True
    while improved:
        improved = False
        for place in range(len(report), -1, -1):  # from the end: a change leaves the rest in place
            changed = _changes(report, place, sentences)
            scores = table.bleu_4(changed)
            best = int(np.argmax(scores))
            if scores[best] > score:
                report, score, improved = changed[best], float(scores[best]), True
    return report, score


def _changes(report: Report, place: int, sentences: Sequence[Sentence]) -> list[Report]:
    """The report with a sentence put in at `place`, or the one there replaced, moved, deleted."""
    before, after = report[:place], report[place:]
    changed = [(*before, sentence, *after) for sentence in sentences]
    if after:
        here, rest = after[0], (*before, *after[1:])
        changed += [(*before, sentence, *after[1:]) for sentence in sentences]
        changed += [(*rest[:to], here, *rest[to:]) for to in range(len(report))]
        changed.append(rest)
    return changed


def _frequent_sentences(train_texts: Sequence[str], min_count: int) -> list[Sentence]:
    """The most frequent first."""
    counts = Counter(sentence for text in train_texts for sentence in _split(text))
    common = counts.most_common(MAX_SENTENCES)
    highest = common[0][1] if common else 0
    enough = min(min_count, highest)
    return [sentence for sentence, count in common if count >= enough]


def _split(text: str) -> Report:
    """Sentences of a cleaned report; a full stop on its own is dropped."""
    sentences, words = [], []
    for word in text.split():
        words.append(word)
        if word == ".":
            if len(words) > 1:
                sentences.append(tuple(words))
            words = []
    if words:
        sentences.append(tuple(words))
    return tuple(sentences)


def _join(report: Report) -> str:
    return " ".join(word for sentence in report for word in sentence)
