"""What ASGMD learns of the training studies: their topics, where it is to predict them."""

from collections.abc import Mapping
from typing import Any

from rcan.data.batches import StudyBatches
from rcan.data.knowledge import Learnt
from rcan.data.knowledge.topics import topics_of_all
from rcan.data.store import Split
from rcan.text.tokenizer import Tokenizer


def learn(
    train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """Of studies: `topics` (N, 20), if they are to be predicted.

    Raises `UserError` if they are, and the data set has no labels.
    """
    if chosen["asgmd"]["topics"] == "fixed":
        return Learnt({}, {})
    return Learnt({}, {"topics": topics_of_all(train.studies, "set asgmd.topics to fixed")})
