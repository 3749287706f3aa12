"""Clinical-BERT: a prefix language model, its pre-training of four tasks, and how it writes."""

from rcan.config import Settings
from rcan.model.families.clinicalbert.model import ClinicalBERT
from rcan.model.interface import Knowledge


def build(
    settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
) -> ClinicalBERT:
    """Clinical-BERT as the settings describe it, initialised from the global random state."""
    return ClinicalBERT(settings, vocabulary_size, pretrained=pretrained, knowledge=knowledge)
