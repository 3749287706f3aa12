"""Reading `params.yaml`: each key's value for the data set and scale, and checks of all of them.

A value in the file is the value itself or a mapping from profile names to values (see its head).
Everything is checked before anything is used: unknown keys, types, ranges, unused profiles.
"""

import difflib
from collections.abc import Callable, Collection
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from rcan.config.families import family_class, family_names
from rcan.config.pipeline import PipelineSettings
from rcan.config.sections import Data, Model, Settings
from rcan.data.sets import DEMO, REAL
from rcan.errors import UserError, name_shown, shown
from rcan.reading import parse_yaml, read_text

S = TypeVar("S", bound=Settings)
PROFILES = (DEMO, "paper", *REAL, "small")
# Settings that came later, as it was before they could be chosen: what was kept then still loads.
_LATER: dict[str, dict[str, Any]] = {
    "train": {"threads": None, "clip_value": None},
    "model": {"family": "rcan"},
    "reward": {"share": 0.0, "kind": "cider", "discount": 0.9, "lr": 0.1},
    "curriculum": {"name": "none", "start": 0.01, "power": 2.0, "share": 0.5, "choose": "hardest"},
}
_RESTORE = "mend it, or have it back by `git checkout params.yaml`"
STRIDES = {"layer3": 16, "layer4": 32}  # pixels a cell of a ResNet's map
NOUNS = {
    "integer": "a whole number", "number": "a number", "string": "a text",
    "boolean": "true or false", "null": "empty",
}  # fmt: skip
BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "above",
    "maximum": "at most", "exclusiveMaximum": "below",
}  # fmt: skip


def load_settings(path: Path = Path("params.yaml")) -> PipelineSettings:
    """Read, resolve and check `params.yaml`.

    Raises `UserError`, one line: the key, what came, what is allowed, the nearest known name.
    """
    if not path.exists():
        raise UserError(f"{path} not found: run from the top folder of the project")
    text = read_text(path, "settings", _RESTORE)
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}; {_RESTORE}") from None
    try:
        return resolve(raw)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def file_sections() -> dict[str, type[BaseModel]]:
    """The sections of `params.yaml` in its order, those of the families after `model`."""
    sections: dict[str, type[BaseModel]] = {}
    for key, field in PipelineSettings.model_fields.items():
        if key == "family":
            for name in family_names():
                own = _sections_of(family_class(name))
                if twice := own.keys() & {*sections, *PipelineSettings.model_fields}:
                    raise UserError(
                        f"expected a section of one family of models alone, found {min(twice)} of "
                        f"{name} in another too; rename it in rcan/config/families/{name}.py"
                    )
                sections |= own
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections[key] = field.annotation
    return sections


def _what_stands_at(key: str) -> str:
    return allowed(Settings, key) if key == "scale" else "it must be a section of keys"


def _sections_of(config: type[BaseModel]) -> dict[str, type[BaseModel]]:
    return {key: cast(type[BaseModel], f.annotation) for key, f in config.model_fields.items()}


def resolve(raw: object) -> PipelineSettings:
    """Choose each key's value for the data set and scale that `raw` names, and check everything.

    Raises:
        UserError: a key or value that is missing, unknown, not allowed, or does not fit another.
    """
    sections = file_sections()
    known = ("scale", *sections)
    if not isinstance(raw, dict):
        raise UserError(f"expected sections ({', '.join(known)}); got {shown(raw)}; {_RESTORE}")
    _check_names(raw, known, "", _what_stands_at)
    for key, section in sections.items():
        if not isinstance(raw[key], dict):
            raise UserError(f"{key} must be a section of keys; it is {shown(raw[key])}")
        _check_names(raw[key], section.model_fields, f"{key}.", partial(allowed, section))

    scale = _checked(Settings, "scale", "scale", raw["scale"])
    name = _checked(Data, "name", "data.name", raw["data"]["name"])
    if name == "demo" and scale == "small":
        real = " and ".join(REAL)
        raise UserError(f"scale: small is for {real}; the demo has one size (full)")
    profiles = ("demo",) if name == "demo" else (name, "paper")
    if scale == "small":
        profiles = ("small", *profiles)

    resolved: dict[str, Any] = {"scale": scale}
    for key, section in sections.items():
        resolved[key] = {
            field: _choose(section, field, f"{key}.{field}", value, profiles)
            for field, value in raw[key].items()
        }
    return from_sections(resolved)


def from_sections(values: dict[str, Any]) -> PipelineSettings:
    """Settings of every section of `params.yaml`: the chosen family's and those of the `others`.

    Raises `UserError` if they are of another version, or do not agree with each other.
    """
    model = values["model"]
    family = model.get("family") if isinstance(model, dict) else None
    if family not in family_names():
        raise UserError(f"model.family is {shown(family)}; {allowed(Model, 'family')}")
    own = family_class(family).model_fields
    others = {
        key: values[key]
        for name in family_names()
        for key in family_class(name).model_fields
        if key not in own
    }
    rest = {key: value for key, value in values.items() if key not in others}
    return _validated(PipelineSettings, {**rest, "others": others})


def from_dict(resolved: dict[str, Any]) -> Settings:
    """Settings from what `of_the_model` gave, as kept beside a trained model.

    Raises `UserError` if they are of another version, or do not agree with each other.
    """
    for section, values in _LATER.items():
        if isinstance(kept := resolved.get(section, {}), dict):
            resolved = {**resolved, section: {**values, **kept}}
    if isinstance(train := resolved.get("train"), dict) and "choose_collapsed" in train:
        chosen = "best" if train["choose_collapsed"] else "varied"
        train = {k: v for k, v in train.items() if k != "choose_collapsed"}
        resolved = {**resolved, "train": {"choose": chosen, **train}}
    return _validated(Settings, resolved)


def _validated(kind: type[S], values: dict[str, Any]) -> S:
    try:
        settings = kind.model_validate(values)
        check_together(settings)
        return settings
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"these settings are not of this version: {key}: {first['msg']}") from None


def _check_names(
    raw: dict[str, Any], known: Collection[str], prefix: str, allowed: Callable[[str], str]
) -> None:
    for key in raw:
        if key not in known:
            name = name_shown(key)
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"unknown key {prefix}{name}; {hint}")
    for key in known:
        if key not in raw:
            raise UserError(f"{prefix}{key} is missing; {allowed(key)}")


def _choose(
    section: type[BaseModel], field: str, key: str, value: Any, profiles: tuple[str, ...]
) -> Any:
    """The value for the most specific of `profiles`; the other profiles' values are checked too."""
    if not isinstance(value, dict):
        return _checked(section, field, key, value)
    for profile, one in value.items():
        if profile not in PROFILES:
            near = difflib.get_close_matches(name_shown(profile), PROFILES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{key} has the unknown profile {shown(profile)}; "
                f"known: {', '.join(PROFILES)}{hint}"
            )
        _checked(section, field, f"{key}.{profile}", one)
    for profile in profiles:
        if profile in value:
            return value[profile]
    raise UserError(f"{key} has no value for {' or '.join(profiles)}; add one or give one value")


def _checked(section: type[BaseModel], field: str, key: str, value: Any) -> Any:
    try:
        return _adapter(section, field).validate_python(value, strict=True)
    except ValidationError:
        raise UserError(f"{key} is {shown(value)}; {allowed(section, field)}") from None


@cache
def _adapter(section: type[BaseModel], field: str) -> TypeAdapter[Any]:
    info = section.model_fields[field]
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(kind)


def check_together(settings: Settings) -> None:
    """Raise `UserError` unless settings agree with each other: what no single key can tell."""
    visual, model = settings.visual, settings.model

    def demand(condition: bool, message: str) -> None:
        if not condition:
            raise UserError(message)

    demand(
        "num_heads" not in settings.family.reads or model.d_model % model.num_heads == 0,
        f"model.d_model ({model.d_model}) must be a multiple of model.num_heads "
        f"({model.num_heads})",
    )
    demand(
        settings.train.patience is None or settings.train.choose != "last",
        "train.patience is for train.choose best or varied; with last, leave it empty",
    )
    demand(
        visual.crop <= settings.data.image_size,
        f"visual.crop ({visual.crop}) must be at most data.image_size ({settings.data.image_size})",
    )
    stride = 2 ** len(visual.channels) if visual.backbone == "small" else STRIDES[visual.last_layer]
    side = visual.crop // stride + (visual.crop % stride > 0)  # of the CNN's map, in cells
    pooled = -(-(visual.feature_window or side) // visual.feature_pool)
    for key, value, most in (
        ("feature_window", visual.feature_window or 1, side),
        ("feature_pool", visual.feature_pool, visual.feature_window or side),
        ("token_grid", visual.token_grid or 1, pooled),
    ):
        demand(
            value <= most,
            f"visual.{key} is {value}; it must be at most {most}: the map of images of "
            f"{visual.crop} pixels has {side} x {side} cells",
        )
    demand(
        visual.feature_window is None or visual.frozen,
        "visual.feature_window is for kept features: set visual.frozen to true or leave it empty",
    )
    demand(
        visual.backbone != "small" or visual.weights == "none",
        f"visual.weights is {visual.weights!r}, but backbone small has none to load: use none",
    )
    demand(
        model.patch_positions != "sinusoidal" or "patch_positions" in settings.family.reads,
        f"model.patch_positions: sinusoidal is not for model.family {model.family}; use learned or "
        "none",
    )
    before, reward = settings.family.pretrain_share, settings.reward.share
    demand(
        before + reward < 1,
        f"reward.share ({reward}) must leave epochs to words: pre-training has {before} of all",
    )
    demand(
        settings.curriculum.name == "none" or settings.train.devices == 1,
        f"curriculum.name: {settings.curriculum.name} is for one process: set train.devices to 1",
    )
    settings.family.check(settings, demand)


def allowed(section: type[BaseModel], field: str) -> str:
    """`it must be ...`, read from the JSON schema of the field."""
    schema = section.model_json_schema()["properties"][field]
    return f"it must be {' or '.join(_words(s) for s in schema.get('anyOf', [schema]))}"


def _words(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return str(schema["const"])
    if len(schema.get("enum", ())) == 1:
        return str(schema["enum"][0])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"][:-1])) + f" or {schema['enum'][-1]}"
    if "$ref" in schema:
        return "a section of keys"
    if schema["type"] == "array":
        most = f"to {schema['maxItems']}" if "maxItems" in schema else "or more"
        return f"a list of {schema['minItems']} {most}, each {_words(schema['items'])}"
    if schema["type"] == "string" and "minLength" in schema:
        return "a text that is not empty"
    limits = [f"{word} {_plain(schema[name])}" for name, word in BOUNDS.items() if name in schema]
    return " ".join([NOUNS[schema["type"]], " and ".join(limits)]).strip()


def _plain(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)
