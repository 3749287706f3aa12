"""Att2in's settings: its words' embedding, and sizes that all families share."""

from typing import Literal

from rcan.config.sections import Family, Section, Settings


class Att2in(Section):
    """The attention model of self-critical sequence training."""

    words: Literal["linear", "relu"]


class Config(Family):
    att2in: Att2in

    def title(self, settings: Settings) -> str:
        return "Att2in"

    def choices(self, settings: Settings) -> list[str]:
        return [] if self.att2in.words == "linear" else [f"words={self.att2in.words}"]
