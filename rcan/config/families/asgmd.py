"""ASGMD's settings (Xue et al., 2024): topics that images are read with, a memory of words."""

from collections.abc import Callable
from typing import ClassVar, Literal

from rcan.config.sections import Family, Layers, Probability, Section, Settings, Width


class ASGMD(Section):
    """Topics: `fixed`, or weighed by how likely each is in the image; the memory of words."""

    topics: Literal["fixed", "predicted"]
    memory_layers: Layers
    memory_heads: Width
    patch_dropout: Probability


class Config(Family):
    reads: ClassVar = frozenset({"num_heads", "num_encoder_layers", "num_decoder_layers", "d_ff"})
    learns: ClassVar = True

    asgmd: ASGMD

    def title(self, settings: Settings) -> str:
        return "ASGMD, causal"

    def choices(self, settings: Settings) -> list[str]:
        return [] if self.asgmd.topics == "fixed" else [f"topics={self.asgmd.topics}"]

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        d_model, heads = settings.model.d_model, self.asgmd.memory_heads
        demand(
            d_model % 2 == 0,
            f"model.d_model ({d_model}) must be even: positions are pairs of sine and cosine",
        )
        demand(
            d_model % heads == 0,
            f"model.d_model ({d_model}) must be a multiple of asgmd.memory_heads ({heads})",
        )
