"""A split as Figs. 4 and 6 look at it: what its studies show, and which words models name it by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rcan.ablation.cells import cell_of
from rcan.attention.patches import Places
from rcan.data.store import Split
from rcan.evaluation.labelers import Labeler
from rcan.reporting.mentions import Mention, label_of, mentions, naming_word, truth

FIRST, NAME = "first", "name"
NAMED_BY = {  # in the demo's wordings, whose mentions are whole sentences
    "cardiomegaly": "cardiomegaly enlargement", "lung_volume": "volumes inspiration",
    "consolidation": "consolidation opacity", "nodule": "nodule granuloma",
    "atelectasis": "atelectasis", "pleural_effusion": "effusion fluid",
    "pneumothorax": "pneumothorax", "pacemaker": "pacemaker", "central_line": "line catheter",
    "scoliosis": "scoliosis spine",
}  # fmt: skip


@dataclass(frozen=True)
class ModelAttention:
    """One trained model: its reports and, for each, attention (words, S) over patches."""

    run: str  # `rve_cgm-1`
    texts: Sequence[str]
    attention: Sequence[np.ndarray]
    places: Places

    @property
    def cell(self) -> str:
        """`rve_cgm`."""
        return cell_of(self.run)


@dataclass(frozen=True)
class LabelledSplit:
    """The studies that models were shown.

    `regions(study)`: label -> (I, size, size) bool, where it shows; None where no study tells.
    """

    data_name: str
    split: Split
    labeler: Labeler
    regions: Callable[[int], Mapping[str, np.ndarray]] | None

    @cached_property
    def truths(self) -> list[frozenset[str]]:
        """The labels of what is there in each study."""
        return [truth(study, self.labeler) for study in self.split.studies]

    def named(self, texts: Sequence[str]) -> list[dict[str, Mention]]:
        """For each study the findings that its report rightly says are there, by their first
        mention; one with a wrong side, size or place counts."""
        return [
            {
                mention.finding: mention
                for mention in reversed(mentions(text, self.labeler))
                if label_of(mention.finding, there, self.labeler)
            }
            for text, there in zip(texts, self.truths, strict=True)
        ]

    def region(self, study: int, finding: str) -> np.ndarray | None:
        """Where a finding shows; None where that is not known or it has no place of its own."""
        label = label_of(finding, self.truths[study], self.labeler)
        return self.regions(study).get(label) if self.regions and label else None


def chosen_words(mention: Mention, text: str) -> dict[str, int]:
    """Kind of word -> its number in the report: the first of a mention, where the model sets out to
    name the finding, and the one that names it. One word that is both stands as NAME alone."""
    name = naming_word(mention, text.split(), NAMED_BY)
    return {FIRST: mention.start, NAME: name} if name != mention.start else {NAME: name}
