"""CoAtt's tags: what a study was indexed with, the target of its tag classifier."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rcan.data.batches import StudyBatches
from rcan.data.knowledge import Learnt
from rcan.data.knowledge.marks import marks
from rcan.data.knowledge.tags import tags_of
from rcan.data.store import Split
from rcan.text.tokenizer import Tokenizer


def learn(
    train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """Kept: `marks`, `num_tags` (1,). Of studies: `tags` (N, tags), rows of sum 1, or 0 where a
    study has none.

    Raises `UserError` if the data set has no labels.
    """
    tags = tags_of(train, chosen["coatt"]["least_studies"])
    shares = tags / np.maximum(tags.sum(1, keepdims=True), 1)
    kept = {"marks": marks(words), "num_tags": np.array([tags.shape[1]])}
    return Learnt(kept, {"tags": shares.astype(np.float32)})
