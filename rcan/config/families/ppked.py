"""PPKED's settings (Liu et al., CVPR 2021)."""

from collections.abc import Callable
from typing import ClassVar

from rcan.config.sections import Count, Family, Probability, Section, Settings


class PPKED(Section):
    """Posterior and prior knowledge."""

    num_reports: Count
    topic_share: Probability


class Config(Family):
    reads: ClassVar = frozenset({"num_heads", "num_decoder_layers", "d_ff"})
    learns: ClassVar = True
    needs_labels: ClassVar = "to pretrain"
    keeps_reports: ClassVar = True

    ppked: PPKED

    @property
    def pretrain_share(self) -> float:
        return self.ppked.topic_share

    def title(self, settings: Settings) -> str:
        return "PPKED style"

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        d_model = settings.model.d_model
        demand(
            d_model % 2 == 0,
            f"model.d_model ({d_model}) must be even: positions are pairs of sine and cosine",
        )
        demand(
            settings.reward.share == 0,
            "reward.share must be 0 for model.family ppked: for a training study it would "
            "retrieve the study's own report",
        )
        demand(
            settings.curriculum.name == "none",
            f"curriculum.name ({settings.curriculum.name}) must be none for model.family ppked: "
            "when training studies are scored, each would retrieve its own report",
        )
