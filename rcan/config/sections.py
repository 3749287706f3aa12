"""The sections of `params.yaml`: each key's type and range. The values stand in the file alone."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from rcan.data.sets import Name

MOST = 10**9  # of anything that is counted: beyond it the libraries' own numbers overflow
Count = Annotated[int, Field(ge=1, le=MOST)]
Width = Annotated[int, Field(ge=1, le=100_000)]
Layers = Annotated[int, Field(ge=1, le=100)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """One section of the file: strict types, no unknown keys, not editable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """The data set and how its images and reports are kept (§4.1.1)."""

    name: Name
    root: str | None
    image_size: Annotated[int, Field(ge=16, le=2048)]
    fit: Literal["squash", "crop", "pad"]
    num_views: Literal[1, 2]
    min_freq: Count
    max_length: Annotated[int, Field(ge=2, le=1000)]


class Demo(Section):
    """Numbers of generated studies and the seed they are drawn from."""

    seed: Seed
    num_train: Count
    num_val: Count
    num_test: Count


class Visual(Section):
    """The CNN and what becomes of its last map (§3.1)."""

    backbone: Literal["small", "resnet18", "resnet34", "resnet50", "resnet101"]
    last_layer: Literal["layer3", "layer4"]
    channels: Annotated[list[Width], Field(min_length=1, max_length=10)]
    weights: Annotated[str, Field(min_length=1)]
    frozen: bool
    crop: Annotated[int, Field(ge=16, le=2048)]
    feature_window: Count | None
    feature_pool: Count
    standardize: bool
    adapter: bool
    token_grid: Count | None
    blind: bool


class Model(Section):
    """Which modules are on, and the Transformer's sizes (§3.5, §4.1.2)."""

    use_rve: bool
    use_cgm: bool
    use_wcl: bool
    d_model: Width
    num_heads: Width
    num_encoder_layers: Layers
    num_decoder_layers: Layers
    d_ff: Width
    dropout: Probability
    patch_positions: Literal["none", "learned", "sinusoidal"]


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


class Train(Section):
    """Optimisation (§4.1.2)."""

    seed: Seed
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "adamw"]
    lr_visual: Positive
    lr: Positive
    beta1: Probability
    beta2: Probability
    weight_decay: NonNegative
    amsgrad: bool
    schedule: Literal["exponential", "step", "cosine"]
    lr_decay: Annotated[float, Field(gt=0, le=1)]
    lr_step: Count
    warmup_steps: NonNegativeInt
    clip_norm: Positive | None
    length_buckets: Count
    patience: Count | None
    choose_collapsed: bool
    accelerator: Literal["auto", "cpu", "cuda"]
    devices: Count | Literal["auto"]
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    precision: Literal["auto", "32-true", "bf16-mixed"]
    deterministic: bool


class Generate(Section):
    """Beam search (§4.1.2)."""

    beam_size: Annotated[int, Field(ge=1, le=100)]
    length_penalty: Annotated[list[Annotated[float, Field(ge=0, le=10)]], Field(min_length=1)]
    batch_size: Count


class Eval(Section):
    """Bootstrap over studies."""

    resamples: Annotated[int, Field(ge=100, le=MOST)]
    seed: Seed


class Privacy(Section):
    """Whether the reports and images may be shown outside the data folder."""

    restricted: bool


class Settings(Section):
    """All that shapes a trained model, resolved for its data set and scale."""

    scale: Literal["full", "small"]
    data: Data
    demo: Demo
    visual: Visual
    model: Model
    rve: RVE
    cgm: CGM
    wcl: WCL
    train: Train
    generate: Generate

    @property
    def name(self) -> str:
        """What this run is, in a few words, other readings than the printed one named:
        `RVE+CGM+WCL tau=0.1 lambda=0.7 denominator=all small seed=1`."""
        modules = [m for m in ("RVE", "CGM", "WCL") if getattr(self.model, f"use_{m.lower()}")]
        words = ["+".join(modules) or "Transformer"]
        words += ["blind"] if self.visual.blind else []
        if self.model.use_wcl:
            words += [f"tau={self.wcl.tau:g}", f"lambda={self.wcl.lambda_ce:g}"]
        printed: dict[str, dict[str, object]] = {
            "rve": {"residual": "outer", "spatial": "depthwise", "bottleneck": None},
            "cgm": {"top_k": None, "gate": "gated", "fusion": "add"},
            "wcl": {"denominator": "negatives"},
        }
        for module, readings in printed.items():
            if getattr(self.model, f"use_{module}"):
                chosen = getattr(self, module)
                words += [
                    f"{key}={getattr(chosen, key)}"
                    for key, reading in readings.items()
                    if getattr(chosen, key) != reading
                ]
        if self.model.use_wcl and self.wcl.views == "augment" and self.data.num_views == 2:
            words += ["views=augment"]
        words += ["schedule=step"] if self.train.schedule == "step" else []
        words += ["small"] if self.scale == "small" else []
        return " ".join([*words, f"seed={self.train.seed}"])

    def with_weights_under(self, root: Path) -> Self:
        """The same, a relative path in `visual.weights` taken from `root`: an experiment runs in
        another folder."""
        weights = self.visual.weights
        if weights in ("imagenet", "none"):
            return self
        visual = self.visual.model_copy(update={"weights": str(root / os.path.expanduser(weights))})
        return self.model_copy(update={"visual": visual})

    def used(self) -> dict[str, Any]:
        """`of_the_model` without what shapes nothing here: modules that are off, other data sets,
        and settings that the choice of another one leaves without effect."""
        used, schedule = self.of_the_model(), self.train.schedule
        off = [name for name in ("rve", "cgm", "wcl") if not used["model"][f"use_{name}"]]
        for section in off + ["demo"] * (self.data.name != "demo"):
            del used[section]
        without_effect = {
            "visual.last_layer": self.visual.backbone == "small",
            "visual.channels": self.visual.backbone != "small",
            "wcl.features": not self.model.use_rve,  # V and V_hat are one
            "wcl.augment_dropout": self.wcl.views == "images",
            "wcl.augment_noise": self.wcl.views == "images",
            "train.lr_step": schedule != "step",
            "train.lr_decay": schedule == "cosine",
        }
        for key, has_none in without_effect.items():
            section, field = key.split(".")
            if has_none and section in used:
                del used[section][field]
        return used

    def of_the_model(self) -> dict[str, Any]:
        """These settings as plain values, without places on this machine."""
        kept = {
            key: value for key, value in self.model_dump().items() if key in Settings.model_fields
        }
        kept["data"]["root"] = None
        kept["visual"]["weights"] = Path(self.visual.weights).name
        return kept


class PipelineSettings(Settings):
    """All of `params.yaml`: besides, how a trained model is scored and what may be shown."""

    eval: Eval
    privacy: Privacy
