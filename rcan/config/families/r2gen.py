"""R2Gen's settings (Chen et al., EMNLP 2020), the quirks of the authors' code by their names."""

from collections.abc import Callable
from typing import ClassVar, Literal

from rcan.config.sections import Count, Family, Probability, Section, Settings, Width


class R2Gen(Section):
    """Relational memory and the norms that it drives (§2.2-2.3)."""

    memory_slots: Count
    memory_heads: Width
    first_memory: Literal["identity", "learned"]
    embedding_dropouts: Literal["two", "one"]
    patch_dropout: Probability
    norm: Literal["layer", "unbiased"]


class Config(Family):
    reads: ClassVar = frozenset({"num_heads", "num_encoder_layers", "num_decoder_layers", "d_ff"})

    r2gen: R2Gen

    def title(self, settings: Settings) -> str:
        return "R2Gen"

    def choices(self, settings: Settings) -> list[str]:
        own, usual = self.r2gen, {"first_memory": "identity", "embedding_dropouts": "two"}
        usual |= {"norm": "layer"}
        return [
            f"{key}={getattr(own, key)}"
            for key, value in usual.items()
            if getattr(own, key) != value
        ]

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        model, own = settings.model, self.r2gen
        demand(
            model.d_model % 2 == 0,
            f"model.d_model ({model.d_model}) must be even: positions are pairs of sine and cosine",
        )
        demand(
            model.d_model % own.memory_heads == 0,
            f"model.d_model ({model.d_model}) must be a multiple of r2gen.memory_heads "
            f"({own.memory_heads})",
        )
        demand(
            own.memory_slots <= model.d_model,
            f"r2gen.memory_slots ({own.memory_slots}) must be at most model.d_model "
            f"({model.d_model}): the memory starts as rows of the identity",
        )
