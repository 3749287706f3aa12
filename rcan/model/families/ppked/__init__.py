"""PPKED: posterior knowledge of a study's images, prior knowledge of others', one report."""

from rcan.config import Settings
from rcan.model.families.ppked.model import PPKED
from rcan.model.interface import Knowledge


def build(
    settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
) -> PPKED:
    """PPKED as the settings describe it, initialised from the global random state."""
    return PPKED(settings, vocabulary_size, pretrained=pretrained, knowledge=knowledge)
