"""What Clinical-BERT's pre-training knows of the training studies: topics and words of labels.

In the place of MeSH's words stand those of the labels that the training studies have: Open-i's
Problems are MeSH headings.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rcan.data.batches import StudyBatches
from rcan.data.knowledge import Learnt
from rcan.data.knowledge.topics import UNKNOWN, topics_of_all
from rcan.data.labels import NO_FINDING, named
from rcan.data.store import Split, Study
from rcan.text.tokenizer import Tokenizer

_WORD = re.compile("[a-z]{4,}")  # without "of", "and", "no"


def learn(
    train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """`kinds` (Y,) of words: 0 of none, 1, 2 of a label; `shares` (20,) of studies with
    each; of studies `topics` (N, 20) and `mesh` (N, m), word ids of its labels and 0s. Without
    pre-training nothing.

    Raises `UserError` if there are no labels.
    """
    if not chosen["clinicalbert"]["pretrain_share"]:
        return Learnt({}, {})
    topics = topics_of_all(train.studies, "set clinicalbert.pretrain_share to 0")
    own = [_words_of_labels(study, words.vocabulary) for study in train.studies]
    mesh = np.zeros((len(own), max(1, *map(len, own))), dtype=np.int64)
    for row, ids in zip(mesh, own, strict=True):
        row[: len(ids)] = ids
    kinds = np.ones(len(words), dtype=np.int8)
    kinds[list({index for ids in own for index in ids})] = 2
    kinds[: words.unk_id + 1] = 0
    shares = (topics == 1).sum(0) / (topics != UNKNOWN).sum(0)
    kept = {"kinds": kinds, "shares": shares.astype(np.float32)}
    return Learnt(kept, {"topics": topics, "mesh": mesh})


def _words_of_labels(study: Study, vocabulary: Mapping[str, int]) -> list[int]:
    """Ids of the words of a study's labels, each once."""
    heads = (named(study.labels or None) or set()) - {NO_FINDING}
    known = (vocabulary.get(word) for head in heads for word in _WORD.findall(head))
    return sorted({index for index in known if index is not None})
