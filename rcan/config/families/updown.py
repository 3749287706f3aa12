"""Up-Down's settings: its words' embedding, the width of its attention."""

from typing import Literal

from rcan.config.sections import Family, Section, Settings, Width


class UpDown(Section):
    """Bottom-up and top-down attention, whose regions are a grid's cells here."""

    words: Literal["linear", "relu"]
    d_attention: Width


class Config(Family):
    updown: UpDown

    def title(self, settings: Settings) -> str:
        return "Up-Down"

    def choices(self, settings: Settings) -> list[str]:
        return [] if self.updown.words == "linear" else [f"words={self.updown.words}"]
