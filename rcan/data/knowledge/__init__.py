"""What a family of models learns of the training studies, and of them alone, before it is trained.

A module a family with `learn`, loaded when that family is trained, so that a new one changes no
other training.
"""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from rcan.data.batches import StudyBatches
from rcan.data.store import Split
from rcan.text.tokenizer import Tokenizer


class Learnt(NamedTuple):
    """Tables by name."""

    kept: dict[str, np.ndarray]  # go with the weights: a model may read them when it generates
    of_studies: dict[str, np.ndarray]  # (N, ...), a row a training study: for losses alone


class Learns(Protocol):
    def learn(
        self, train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
    ) -> Learnt:
        """The tables of the training studies; `batches` are theirs, in the same order; `chosen`:
        the family's own sections of params.yaml.

        Raises `UserError` if the data set has not what they are made of.
        """


def learn(
    family: str, train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """The tables of one family."""
    module = cast(Learns, importlib.import_module(f"{__name__}.{family}"))
    return module.learn(train, batches, words, chosen)
