"""HRGR-Agent's settings: its templates, its sentences, how it chooses."""

from collections.abc import Callable
from typing import ClassVar, Literal

from rcan.config.sections import Count, Family, Layers, Section, Settings
from rcan.data.sets import DEMO

LEAST_OF_PATIENTS = 30  # studies: templates go with the weights


class HRGR(Section):
    """Hybrid retrieval-generation reinforced agent."""

    least_studies: Count
    max_sentences: Layers
    choice: Literal["sum", "argmax"]


class Config(Family):
    learns: ClassVar = True

    hrgr: HRGR

    def title(self, settings: Settings) -> str:
        return "HRGR, found templates"

    def choices(self, settings: Settings) -> list[str]:
        return [] if self.hrgr.choice == "sum" else ["choice=argmax"]

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        least = self.hrgr.least_studies
        demand(
            settings.data.name == DEMO or least >= LEAST_OF_PATIENTS,
            f"hrgr.least_studies ({least}) must be at least {LEAST_OF_PATIENTS} with patients' "
            "data: templates are sentences of their reports, and go with the weights",
        )
        demand(
            self.hrgr.choice == "sum" or settings.reward.share == 0,
            "hrgr.choice: argmax cannot be rewarded: set reward.share to 0 or hrgr.choice to sum",
        )
        demand(
            self.hrgr.choice == "sum" or settings.curriculum.name == "none",
            "hrgr.choice: argmax gives most reports no likelihood to order them by: set "
            "curriculum.name to none or hrgr.choice to sum",
        )
