"""Sections of `params.yaml` that shape a model: types and ranges; the values stand there alone.
Those that only one family of models reads stand with it, in `rcan.config.families`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from rcan.config.families import family_class, family_names
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


def _known(name: str) -> str:
    if name not in family_names():
        raise ValueError(f"no family of models is called {name}")
    return name


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
    """Which family, which of its modules are on, sizes that families share (§3.5, §4.1.2)."""

    family: Annotated[
        str, AfterValidator(_known), Field(json_schema_extra={"enum": list(family_names())})
    ]
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


class Train(Section):
    """Optimisation (§4.1.2)."""

    seed: Seed
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "adamw", "sgd"]
    lr_visual: Positive
    lr: Positive
    beta1: Probability
    beta2: Probability
    weight_decay: NonNegative
    amsgrad: bool
    schedule: Literal["exponential", "step", "cosine", "linear"]
    lr_decay: Annotated[float, Field(gt=0, le=1)]
    lr_step: Count
    warmup_steps: NonNegativeInt
    clip_norm: Positive | None
    clip_value: Positive | None
    length_buckets: Count
    patience: Count | None
    choose: Literal["best", "varied", "last"]
    accelerator: Literal["auto", "cpu", "cuda"]
    devices: Count | Literal["auto"]
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    precision: Literal["auto", "32-true", "bf16-mixed"]
    deterministic: bool


class Reward(Section):
    """Policy gradient: the last epochs raise a score of whole reports, or of each sentence."""

    share: Probability
    kind: Literal["cider", "sentence_cider", "sentence_bleu"]
    discount: Fraction
    lr: Positive


class Curriculum(Section):
    """The order of training: of each measure of difficulty the easiest share, which grows."""

    name: Literal["none", "cmcl"]
    start: Annotated[float, Field(gt=0, le=1)]
    power: Positive
    share: Annotated[float, Field(gt=0, le=1)]
    choose: Literal["hardest", "easiest", "cycle"]


class Generate(Section):
    """Beam search (§4.1.2)."""

    beam_size: Annotated[int, Field(ge=1, le=100)]
    length_penalty: Annotated[list[Annotated[float, Field(ge=0, le=10)]], Field(min_length=1)]
    batch_size: Count


# Keys of section `model` that every family reads: those of the visual extractor, and dropout.
OF_ALL = frozenset({"family", "d_model", "dropout", "patch_positions"})


class Family(Section):
    """What one family of models reads: its own sections are the fields of its `Config`."""

    reads: ClassVar[frozenset[str]] = frozenset()  # keys of section `model`, besides `OF_ALL`
    learns: ClassVar[bool] = False  # whether `rcan.data.knowledge` has tables for it
    keeps_reports: ClassVar[bool] = False  # the training reports go with its weights
    needs_labels: ClassVar[Literal["never", "to pretrain", "always"]] = "never"  # of its studies

    @property
    def pretrain_share(self) -> float:
        """Of the epochs: the first ones, on the family's own tasks in the place of words."""
        return 0.0

    def title(self, settings: "Settings") -> str:
        """The model in a word or two."""
        return settings.model.family

    def choices(self, settings: "Settings") -> list[str]:
        """What a run's name tells of it besides, e.g. `tau=0.1`."""
        return []

    def unused(self, settings: "Settings") -> dict[str, bool]:
        """Own sections, and keys (`wcl.features`), that shape nothing under these settings."""
        return {}

    def check(self, settings: "Settings", demand: Callable[[bool, str], None]) -> None:
        """Call `demand(whether it holds, what to say if not)` for what no single key can tell."""


class Settings(Section):
    """All that shapes a trained model, resolved for its data set and scale. `family` holds the
    sections of `model.family` alone; as plain values they stand beside the others."""

    scale: Literal["full", "small"]
    data: Data
    demo: Demo
    visual: Visual
    model: Model
    family: SerializeAsAny[Family]
    train: Train
    reward: Reward
    curriculum: Curriculum
    generate: Generate

    @model_validator(mode="before")
    @classmethod
    def _gather_family(cls, values: Any) -> Any:
        model = values.get("model") if isinstance(values, dict) else None
        name = model.get("family") if isinstance(model, dict) else getattr(model, "family", None)
        if name not in family_names() or "family" in values:
            return values
        config = family_class(name)
        own = {key: values[key] for key in config.model_fields if key in values}
        rest = {key: value for key, value in values.items() if key not in own}
        return {**rest, "family": config.model_validate(own)}

    @model_serializer(mode="wrap")
    def _spread_family(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in plain(self).items():
            values |= value if key == "family" else {key: value}
        return values

    @property
    def name(self) -> str:
        """What this run is, in a few words, other readings than the printed one named:
        `RVE+CGM+WCL tau=0.1 lambda=0.7 denominator=all small seed=1`."""
        words = [self.family.title(self)]
        words += ["blind"] if self.visual.blind else []
        words += self.family.choices(self)
        words += ["schedule=step"] if self.train.schedule == "step" else []
        words += [f"reward={self.reward.kind}"] if self.reward.share else []
        if self.curriculum.name != "none":
            words += [self.curriculum.name, f"choose={self.curriculum.choose}"]
        words += ["small"] if self.scale == "small" else []
        return " ".join([*words, f"seed={self.train.seed}"])

    def with_weights_under(self, root: Path) -> Self:
        """The same, a relative `visual.weights` taken from `root`: experiments run elsewhere."""
        weights = self.visual.weights
        if weights in ("imagenet", "none"):
            return self
        visual = self.visual.model_copy(update={"weights": str(root / os.path.expanduser(weights))})
        return self.model_copy(update={"visual": visual})

    def epochs_of(self, share: float) -> int:
        """So many of the training's epochs, rounded down."""
        return int(share * self.train.epochs + 1e-9)

    def base(self) -> Self:
        """The same without a curriculum, whose likelihoods one orders the studies by."""
        plain = self.curriculum.model_copy(update={"name": "none"})
        return self.model_copy(update={"curriculum": plain})

    def used(self) -> dict[str, Any]:
        """`of_the_model` without what shapes nothing here, as modules that are off."""
        used, schedule = self.of_the_model(), self.train.schedule
        plain = self.curriculum.name == "none"
        unused = {
            "demo": self.data.name != "demo",
            "visual.last_layer": self.visual.backbone == "small",
            "visual.channels": self.visual.backbone != "small",
            **{f"model.{key}": key not in self.family.reads | OF_ALL for key in used["model"]},
            **self.family.unused(self),
            "train.lr_step": schedule != "step",
            "train.lr_decay": schedule in ("cosine", "linear"),
            "train.clip_value": self.train.clip_value is None,
            **dict.fromkeys(("train.beta2", "train.amsgrad"), self.train.optimizer == "sgd"),
            **dict.fromkeys(("reward.kind", "reward.lr"), self.reward.share == 0),
            "reward.discount": self.reward.share == 0 or self.reward.kind == "cider",
            **{f"curriculum.{key}": plain and key != "name" for key in used["curriculum"]},
        }
        for section, _, field in (key.partition(".") for key, is_so in unused.items() if is_so):
            (used.get(section, {}) if field else used).pop(field or section, None)
        return used

    def of_the_model(self) -> dict[str, Any]:
        """These settings as plain values, without places on this machine."""
        beside = type(self).model_fields.keys() - Settings.model_fields.keys()
        kept: dict[str, Any] = self.model_dump(exclude=beside)
        kept["data"]["root"] = None
        kept["visual"]["weights"] = Path(self.visual.weights).name
        return kept
