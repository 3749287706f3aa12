"""RCAN's settings (§3.2-3.4); modules off or read otherwise, R2GenCMN's and the Transformer's."""

from collections.abc import Callable
from typing import ClassVar, Literal

from rcan.config.sections import (
    Count,
    Family,
    Fraction,
    Model,
    NonNegative,
    Positive,
    Probability,
    Section,
    Settings,
    Width,
)


class RVE(Section):
    """Recalibrated visual extractor (§3.2)."""

    residual: Literal["outer", "inner"]
    spatial: Literal["depthwise", "single"]
    reduction: Width
    bottleneck: Width | None


class CGM(Section):
    """Cross-modal gated memory (§3.3)."""

    num_slots: Count
    num_heads: Width
    top_k: Count | None
    gate: Literal["gated", "response"]
    fusion: Literal["add", "replace"]


class WCL(Section):
    """Weakly supervised contrastive learning (§3.4)."""

    tau: Positive
    lambda_ce: Fraction
    denominator: Literal["negatives", "all"]
    views: Literal["images", "augment"]
    features: Literal["V", "V_hat"]
    projection_dim: Width
    augment_dropout: Probability
    augment_noise: NonNegative


# What the paper prints; a run of another reading names it.
PRINTED: dict[str, dict[str, object]] = {
    "rve": {"residual": "outer", "spatial": "depthwise", "bottleneck": None},
    "cgm": {"top_k": None, "gate": "gated", "fusion": "add"},
    "wcl": {"denominator": "negatives"},
}


class Config(Family):
    """Sections of the three modules; `model.use_*` switch them on."""

    reads: ClassVar = frozenset(Model.model_fields)

    rve: RVE
    cgm: CGM
    wcl: WCL

    def title(self, settings: Settings) -> str:
        on = [name.upper() for name in PRINTED if _is_on(settings, name)]
        return "+".join(on) or "Transformer"

    def choices(self, settings: Settings) -> list[str]:
        use_wcl, words = settings.model.use_wcl, []
        if use_wcl:
            words = [f"tau={self.wcl.tau:g}", f"lambda={self.wcl.lambda_ce:g}"]
        for name, readings in PRINTED.items():
            if _is_on(settings, name):
                chosen = getattr(self, name)
                words += [
                    f"{key}={getattr(chosen, key)}"
                    for key, reading in readings.items()
                    if getattr(chosen, key) != reading
                ]
        if use_wcl and self.wcl.views == "augment" and settings.data.num_views == 2:
            words += ["views=augment"]
        return words

    def unused(self, settings: Settings) -> dict[str, bool]:
        return {
            **{name: not _is_on(settings, name) for name in PRINTED},
            "wcl.features": not settings.model.use_rve,  # V and V_hat are one
            "wcl.augment_dropout": self.wcl.views == "images",
            "wcl.augment_noise": self.wcl.views == "images",
        }

    def check(self, settings: Settings, demand: Callable[[bool, str], None]) -> None:
        model, cgm, wcl = settings.model, self.cgm, self.wcl
        demand(
            model.d_model % 2 == 0,
            f"model.d_model ({model.d_model}) must be even: positions are pairs of sine and cosine",
        )
        demand(
            not model.use_cgm or model.d_model % cgm.num_heads == 0,
            f"model.d_model ({model.d_model}) must be a multiple of cgm.num_heads "
            f"({cgm.num_heads})",
        )
        demand(
            not model.use_cgm or cgm.top_k is None or cgm.top_k <= cgm.num_slots,
            f"cgm.top_k ({cgm.top_k}) must be at most cgm.num_slots ({cgm.num_slots})",
        )
        demand(
            not model.use_wcl or wcl.views == "augment" or settings.data.num_views == 2,
            "wcl.views: images needs two images a study (data.num_views: 2); use augment",
        )
        demand(
            not (settings.visual.blind and model.use_wcl),
            "visual.blind leaves WCL nothing to compare: set model.use_wcl to false",
        )


def _is_on(settings: Settings, module: str) -> bool:
    on: bool = getattr(settings.model, f"use_{module}")
    return on
