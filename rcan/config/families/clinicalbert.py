"""Clinical-BERT's settings (Yan & Pei, AAAI 2022)."""

from collections.abc import Callable
from typing import ClassVar

from rcan.config.sections import (
    Family,
    Layers,
    NonNegative,
    Probability,
    Section,
    Settings,
)


class ClinicalBERT(Section):
    """One stream of patches and words, and what it learns before it writes."""

    num_layers: Layers
    pretrain_share: Probability
    mask_words: Probability
    mask_mesh: Probability
    margin: NonNegative


class Config(Family):
    reads: ClassVar = frozenset({"num_heads", "d_ff"})
    learns: ClassVar = True
    needs_labels: ClassVar = "to pretrain"

    clinicalbert: ClinicalBERT

    @property
    def pretrain_share(self) -> float:
        return self.clinicalbert.pretrain_share

    def title(self, settings: Settings) -> str:
        return "Clinical-BERT style"

    def choices(self, settings: Settings) -> list[str]:
        return [] if self.pretrain_share else ["without pre-training"]

    def unused(self, settings: Settings) -> dict[str, bool]:
        own = ("mask_words", "mask_mesh", "margin")
        return {f"clinicalbert.{key}": not self.pretrain_share for key in own}

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        d_model = settings.model.d_model
        demand(
            d_model % 2 == 0,
            f"model.d_model ({d_model}) must be even: positions are pairs of sine and cosine",
        )
