"""HRGR-Agent's templates: wordings of sentences that many training studies have.

Sentences with the same words, but for function words, whatever the order, are one group; the
wording that most studies have stands for its group. (Ours: the paper's were chosen by hand.)
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from rcan.data.batches import StudyBatches
from rcan.data.knowledge import Learnt
from rcan.data.knowledge.marks import marks
from rcan.data.store import Split
from rcan.text.report_sentences import sentences_of
from rcan.text.tokenizer import Tokenizer

_FUNCTION_WORDS = (  # "no" and "normal" are not among them
    "the is are there a an of in and or to be seen identified noted evidence within limits appear "
    "appears"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split(" "))
Group = frozenset[str]


def learn(
    train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """Kept: `marks`, `templates` (N, longest + 1), word ids, "." and padding, the most frequent
    first. Of studies: `sources` (studies, max_sentences), 0 where a sentence is to be generated,
    else the number of its template, from 1.

    Raises `UserError` if no sentence ends with ".".
    """
    least, most = (chosen["hrgr"][name] for name in ("least_studies", "max_sentences"))
    found = templates([study.text for study in train.studies], least)
    numbers = {group: number for number, group in enumerate(found, 1)}
    ids = [words.encode(f"{text} .", len(text.split()) + 1)[1:-1] for text in found.values()]
    table = np.full((len(ids), max(map(len, ids), default=0) + 1), words.pad_id)
    for row, template in zip(table, ids, strict=True):
        row[: len(template)] = template
    sources = np.zeros((len(train.studies), most), dtype=np.int64)
    for row, study in zip(sources, train.studies, strict=True):
        for place, sentence in enumerate(sentences_of(study.text)[:most]):
            row[place] = numbers.get(group_of(sentence), 0)
    return Learnt({"marks": marks(words), "templates": table}, {"sources": sources})


def templates(reports: list[str], least: int) -> dict[Group, str]:
    """The wording of each group that at least `least` of the reports have, frequent ones first."""
    groups: Counter[Group] = Counter()
    wordings: dict[Group, Counter[str]] = defaultdict(Counter)
    for report in reports:
        sentences = {" ".join(sentence): group_of(sentence) for sentence in sentences_of(report)}
        groups.update(set(sentences.values()))
        for wording, group in sentences.items():
            wordings[group][wording] += 1
    found = {
        group: min(wordings[group], key=lambda w: (-wordings[group][w], w))
        for group, count in groups.items()
        if group and count >= least
    }
    return dict(sorted(found.items(), key=lambda entry: (-groups[entry[0]], entry[1])))


def group_of(sentence: list[str]) -> Group:
    """The words that sentences of one group share."""
    return frozenset(sentence) - FUNCTION_WORDS
