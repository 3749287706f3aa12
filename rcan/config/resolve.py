"""Reading `params.yaml`: each key's value for the data set and scale, and checks of all of them.

A value in the file is the value itself or a mapping from profile names to values (see the head of
`params.yaml`). Everything is checked before anything is used: unknown keys, types, ranges, and the
values of the profiles that are not in use.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from rcan.config.sections import Data, PipelineSettings, Settings
from rcan.config.together import check_together
from rcan.config.wording import allowed
from rcan.data.sets import DEMO, REAL
from rcan.errors import UserError, name_shown, shown
from rcan.reading import parse_yaml, read_text

PROFILES = (DEMO, "paper", *REAL, "small")
# Settings that came later, as it was before they could be chosen: what was kept then still loads.
_LATER: dict[str, dict[str, Any]] = {"train": {"threads": None}}
_RESTORE = "mend it, or have it back by `git checkout params.yaml`"


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


def resolve(raw: object) -> PipelineSettings:
    """Choose each key's value for the data set and scale that `raw` names, and check everything."""
    if not isinstance(raw, dict):
        raise UserError(
            f"expected sections ({', '.join(PipelineSettings.model_fields)}); got {shown(raw)}; "
            f"{_RESTORE}"
        )
    _check_names(raw, PipelineSettings, "")
    sections = {
        key: field.annotation
        for key, field in PipelineSettings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    for key, section in sections.items():
        if not isinstance(raw[key], dict):
            raise UserError(f"{key} must be a section of keys; it is {shown(raw[key])}")
        _check_names(raw[key], section, f"{key}.")

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
    settings = PipelineSettings.model_validate(resolved)
    check_together(settings)
    return settings


def from_dict(resolved: dict[str, Any]) -> Settings:
    """Settings from what `of_the_model` gave, as kept beside a trained model."""
    for section, values in _LATER.items():
        if isinstance(kept := resolved.get(section), dict):
            resolved = {**resolved, section: {**values, **kept}}
    try:
        settings = Settings.model_validate(resolved)
        check_together(settings)
        return settings
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"these settings are not of this version: {key}: {first['msg']}") from None


def _check_names(raw: dict[str, Any], section: type[BaseModel], prefix: str) -> None:
    known = list(section.model_fields)
    for key in raw:
        if key not in known:
            name = name_shown(key)
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"unknown key {prefix}{name}; {hint}")
    for key in known:
        if key not in raw:
            raise UserError(f"{prefix}{key} is missing; {allowed(section, key)}")


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
    info = section.model_fields[field]
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        raise UserError(f"{key} is {shown(value)}; {allowed(section, field)}") from None
