"""Settings: `params.yaml` becomes one frozen, validated `Settings`.

A value in the file is the value itself or a mapping from profile names to values (see the head of
`params.yaml`). Everything is checked before anything is used: unknown keys, types, ranges, and the
values of the profiles that are not in use. There are no defaults here; the file is their only home.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rcan.errors import UserError

PROFILES = ("demo", "paper", "iu_xray", "mimic_cxr", "small")

Count = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """One section of the file: strict types, no unknown keys, not editable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """The data set and how its images and reports are kept (§4.1.1)."""

    name: Literal["demo", "iu_xray", "mimic_cxr"]
    root: str | None
    image_size: Annotated[int, Field(ge=16, le=2048)]
    fit: Literal["squash", "crop", "pad"]
    num_views: Literal[1, 2]
    min_freq: Count
    max_length: Annotated[int, Field(ge=2, le=1000)]


class Demo(Section):
    """Numbers of generated studies and the seed they are drawn from."""

    seed: NonNegativeInt
    num_train: Count
    num_val: Count
    num_test: Count


class Visual(Section):
    """The CNN and what becomes of its last map (§3.1)."""

    backbone: Literal["small", "resnet18", "resnet34", "resnet50", "resnet101"]
    last_layer: Literal["layer3", "layer4"]
    channels: Annotated[list[Count], Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)]
    frozen: bool
    crop: Annotated[int, Field(ge=16, le=2048)]
    feature_window: Count | None
    feature_pool: Count
    token_grid: Count | None


class Model(Section):
    """Which modules are on, and the Transformer's sizes (§3.5, §4.1.2)."""

    use_rve: bool
    use_cgm: bool
    use_wcl: bool
    d_model: Count
    num_heads: Count
    num_encoder_layers: Count
    num_decoder_layers: Count
    d_ff: Count
    dropout: Probability
    patch_positions: Literal["none", "learned"]


class RVE(Section):
    """Recalibrated visual extractor (§3.2)."""

    residual: Literal["outer", "inner"]
    spatial: Literal["depthwise", "single"]
    reduction: Count
    bottleneck: Count | None


class CGM(Section):
    """Cross-modal gated memory (§3.3)."""

    num_slots: Count
    num_heads: Count
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
    projection_dim: Count
    augment_dropout: Probability
    augment_noise: NonNegative


class Train(Section):
    """Optimisation (§4.1.2)."""

    seed: NonNegativeInt
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "adamw"]
    lr_visual: Positive
    lr: Positive
    betas: Annotated[list[Probability], Field(min_length=2, max_length=2)]
    weight_decay: NonNegative
    amsgrad: bool
    schedule: Literal["exponential", "cosine"]
    lr_decay: Annotated[float, Field(gt=0, le=1)]
    warmup_steps: NonNegativeInt
    clip_norm: Positive | None
    length_buckets: Count
    patience: Count | None
    accelerator: Literal["auto", "cpu", "cuda"]
    devices: Count | Literal["auto"]
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class Generate(Section):
    """Beam search (§4.1.2)."""

    beam_size: Annotated[int, Field(ge=1, le=100)]
    length_penalty: Annotated[list[NonNegative], Field(min_length=1)]
    batch_size: Count


class Eval(Section):
    """Bootstrap over studies."""

    resamples: Annotated[int, Field(ge=100)]
    seed: NonNegativeInt


class Settings(Section):
    """All settings of one run, resolved for its data set and scale."""

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
    eval: Eval

    @property
    def name(self) -> str:
        """What this run is, in a few words: `RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1`."""
        modules = [m for m in ("RVE", "CGM", "WCL") if getattr(self.model, f"use_{m.lower()}")]
        words = ["+".join(modules) or "Transformer"]
        if self.model.use_cgm and self.cgm.gate == "response":
            words.append("gate=response")
        if self.model.use_wcl:
            words += [f"tau={self.wcl.tau:g}", f"lambda={self.wcl.lambda_ce:g}"]
        return " ".join([*words, f"seed={self.train.seed}"])


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Read, resolve and check `params.yaml`.

    Raises `UserError`, one line: the key, what came, what is allowed, the nearest known name.
    """
    from ruamel.yaml import YAML, YAMLError  # as DVC does: `-S train.lr=1e-5` writes YAML 1.2

    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} not found: run from the top folder of the project") from None
    except (YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML: {line}") from None
    try:
        return resolve(raw)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def resolve(raw: object) -> Settings:
    """Choose each key's value for the data set and scale that `raw` names, and check everything."""
    if not isinstance(raw, dict):
        raise UserError(f"expected sections ({', '.join(Settings.model_fields)}); got {raw!r}")
    _check_names(raw, Settings, "")
    sections = {k: f.annotation for k, f in Settings.model_fields.items() if k != "scale"}
    for key, section in sections.items():
        if not isinstance(raw[key], dict):
            raise UserError(f"{key} must be a section of keys; it is {raw[key]!r}")
        _check_names(raw[key], section, f"{key}.")

    scale = _checked(Settings, "scale", "scale", raw["scale"])
    name = _checked(Data, "name", "data.name", raw["data"]["name"])
    if name == "demo" and scale == "small":
        raise UserError("scale: small is for iu_xray and mimic_cxr; the demo has one size (full)")
    profiles = ("demo",) if name == "demo" else (name, "paper")
    if scale == "small":
        profiles = ("small", *profiles)

    resolved: dict[str, Any] = {"scale": scale}
    for key, section in sections.items():
        resolved[key] = {
            field: _choose(section, field, f"{key}.{field}", value, profiles)
            for field, value in raw[key].items()
        }
    settings = Settings.model_validate(resolved)
    _check_together(settings)
    return settings


def from_dict(resolved: dict) -> Settings:
    """Settings from what `Settings.model_dump()` gave, as kept beside a trained model."""
    try:
        return Settings.model_validate(resolved)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"these settings are not of this version: {key}: {first['msg']}") from None


def _check_names(raw: dict, section: type[BaseModel], prefix: str) -> None:
    known = list(section.model_fields)
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"unknown key {prefix}{key}; {hint}")
    for key in known:
        if key not in raw:
            raise UserError(f"{prefix}{key} is missing; {_allowed(section, key)}")


def _choose(section: type[BaseModel], field: str, key: str, value: Any, profiles: tuple) -> Any:
    """The value for the most specific of `profiles`; the other profiles' values are checked too."""
    if not isinstance(value, dict):
        return _checked(section, field, key, value)
    for profile, one in value.items():
        if profile not in PROFILES:
            near = difflib.get_close_matches(str(profile), PROFILES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{key} has the unknown profile {profile!r}; known: {', '.join(PROFILES)}{hint}"
            )
        _checked(section, field, f"{key}.{profile}", one)
    for profile in profiles:
        if profile in value:
            return value[profile]
    raise UserError(f"{key} has no value for {' or '.join(profiles)}; add one or give one value")


def _checked(section: type[BaseModel], field: str, key: str, value: Any) -> Any:
    info = section.model_fields[field]
    kind = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        raise UserError(f"{key} is {value!r}; {_allowed(section, field)}") from None


def _allowed(section: type[BaseModel], field: str) -> str:
    """What may stand there, in words, read from the JSON schema of the field."""
    schema = section.model_json_schema()["properties"][field]
    return f"it must be {' or '.join(_words(s) for s in schema.get('anyOf', [schema]))}"


def _words(schema: dict) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"][:-1])) + f" or {schema['enum'][-1]}"
    if "$ref" in schema:
        return "a section of keys"
    if schema.get("type") == "array":
        return f"a list of items, each {_words(schema['items'])}"
    noun = {
        "integer": "a whole number", "number": "a number", "string": "a text",
        "boolean": "true or false", "null": "empty",
    }[schema["type"]]  # fmt: skip
    bounds = {
        "minimum": "at least", "exclusiveMinimum": "above",
        "maximum": "at most", "exclusiveMaximum": "below",
    }  # fmt: skip
    limits = [f"{word} {schema[name]:g}" for name, word in bounds.items() if name in schema]
    return " ".join([noun, " and ".join(limits)]).strip()


def _check_together(settings: Settings) -> None:
    """What no single key can tell."""
    visual, model, cgm, wcl = settings.visual, settings.model, settings.cgm, settings.wcl

    def demand(condition: bool, message: str) -> None:
        if not condition:
            raise UserError(message)

    demand(
        model.d_model % model.num_heads == 0,
        f"model.d_model ({model.d_model}) must be a multiple of model.num_heads "
        f"({model.num_heads})",
    )
    demand(
        model.d_model % 2 == 0,
        f"model.d_model ({model.d_model}) must be even: positions are pairs of sine and cosine",
    )
    demand(
        not model.use_cgm or model.d_model % cgm.num_heads == 0,
        f"model.d_model ({model.d_model}) must be a multiple of cgm.num_heads ({cgm.num_heads})",
    )
    demand(
        not model.use_cgm or cgm.top_k is None or cgm.top_k <= cgm.num_slots,
        f"cgm.top_k ({cgm.top_k}) must be at most cgm.num_slots ({cgm.num_slots})",
    )
    demand(
        visual.crop <= settings.data.image_size,
        f"visual.crop ({visual.crop}) must be at most data.image_size ({settings.data.image_size})",
    )
    demand(
        visual.feature_window is None or visual.frozen,
        "visual.feature_window is for kept features: set visual.frozen to true or leave it empty",
    )
    demand(
        not model.use_wcl or wcl.views == "augment" or settings.data.num_views == 2,
        "wcl.views: images needs two images a study (data.num_views: 2); use augment",
    )
    demand(
        visual.backbone != "small" or visual.weights == "none",
        f"visual.weights is {visual.weights!r}, but backbone small has none to load: use none",
    )
