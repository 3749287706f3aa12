"""RCAN: *Recalibrated cross-modal alignment network for radiology report generation with weakly
supervised contrastive learning* (§3), of which R2GenCMN and the plain Transformer are settings.

`recalibration`: Eqs. 3-7; `memory`: Eqs. 8-15; `contrastive`: Eqs. 2 and 16-19; `model`: the whole,
Eqs. 20-24. Where the paper is silent or contradicts itself, docs/readings.md names the choice.
"""

from rcan.config import Settings
from rcan.config.families.rcan import Config
from rcan.model.families.rcan.model import RCAN


def build(settings: Settings, vocabulary_size: int, *, pretrained: bool) -> RCAN:
    """RCAN as the settings describe it, initialised from the global random state."""
    assert isinstance(settings.family, Config)
    return RCAN(settings, settings.family, vocabulary_size, pretrained=pretrained)
