"""Which sentences of the training reports are abnormal, for CMAS."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from rcan.data.batches import StudyBatches
from rcan.data.knowledge import Learnt
from rcan.data.knowledge.marks import marks
from rcan.data.sets.demo_findings import FINDINGS
from rcan.data.store import Split
from rcan.text.cleaning import clean_iu_xray
from rcan.text.report_sentences import is_abnormal, sentences_of
from rcan.text.tokenizer import Tokenizer


def learn(
    train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """`marks`, and `abnormal` (N, max_sentences) int64: 1 for a report's abnormal sentences.

    `is_abnormal` says which; in the demo, by `labels: exact`, those that tell of a finding.
    Raises `UserError` where no word is a full stop.
    """
    shape = len(train.studies), chosen["cmas"]["max_sentences"]
    abnormal = np.zeros(shape, dtype=np.int64)
    exact = _wordings() if chosen["cmas"]["labels"] == "exact" else None
    for row, study in zip(abnormal, train.studies, strict=True):
        own = sentences_of(study.text)[: len(row)]
        row[: len(own)] = [is_abnormal(x) if exact is None else " ".join(x) in exact for x in own]
    return Learnt({"marks": marks(words)}, {"abnormal": abnormal})


def _wordings() -> set[str]:
    """Every sentence by which a report of the demo tells of a finding."""
    texts = [
        wording.format(*attributes)
        for finding in FINDINGS
        for wording in finding.present
        for attributes in product(*finding.attributes)
    ]
    return {clean_iu_xray(text).removesuffix(" .") for text in texts}
