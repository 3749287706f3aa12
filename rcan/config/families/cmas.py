"""CMAS's settings: how long a report may be, and what makes a sentence normal."""

from collections.abc import Callable
from typing import ClassVar, Literal

from rcan.config.sections import Count, Family, Section, Settings


class CMAS(Section):
    """A planner and two writers of sentences."""

    max_sentences: Count
    labels: Literal["words", "exact"]


class Config(Family):
    learns: ClassVar = True

    cmas: CMAS

    def title(self, settings: Settings) -> str:
        return "CMAS style"

    def choices(self, settings: Settings) -> list[str]:
        usual = "exact" if settings.data.name == "demo" else "words"
        return [] if self.cmas.labels == usual else [f"labels={self.cmas.labels}"]

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        demand(
            self.cmas.labels == "words" or settings.data.name == "demo",
            "cmas.labels: exact is for the demo, whose wordings are known; use words",
        )
