"""NIC's settings: its cell, and sizes that all families share."""

from typing import Literal

from rcan.config.sections import Family, Section, Settings


class NIC(Section):
    """Show and tell."""

    cell: Literal["lstm", "maxout"]


class Config(Family):
    nic: NIC

    def title(self, settings: Settings) -> str:
        return "NIC"

    def choices(self, settings: Settings) -> list[str]:
        return [] if self.nic.cell == "lstm" else [f"cell={self.nic.cell}"]
