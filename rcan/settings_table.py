"""params.yaml as a table: each key's value here, its value in the paper's own setting, its note."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rcan.config import resolve
from rcan.config.families import family_class, family_names
from rcan.dotted import flatten
from rcan.errors import UserError, name_shown
from rcan.reading import parse_yaml, read_text

PAPER_DATA = "iu_xray"  # whose column stands beside the demo, which the paper does not have


def settings_table(
    path: Path, keys: Sequence[str], *, data: str | None = None, scale: str | None = None
) -> list[dict[str, Any]]:
    """Rows of `key`, `value`, `paper`, `note` for `keys` (sections or keys; all if there is none)
    of the family of models in use.

    `value` is resolved for the file's data set and scale, or for those given. `paper` is resolved
    at full scale for the same data set, for IU X-ray where that is the demo. `note` is the file's
    own remark, with the paper's section.

    Raises:
        UserError: the file does not hold valid settings, or a key that it does not know.
    """
    text = read_text(path, "settings", "git checkout params.yaml")
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}; git checkout params.yaml") from None
    here = _resolved(raw, data, scale)
    name = here["data.name"]
    paper = _resolved(raw, PAPER_DATA if name == "demo" else name, "full")
    notes = _notes(text)
    return [
        {"key": key, "value": here[key], "paper": paper[key], "note": notes.get(key, "")}
        for key in _chosen(here, keys)
    ]


def _resolved(raw: Any, data: str | None, scale: str | None) -> dict[str, Any]:
    resolve(raw)  # what is wrong with the file is told before what is asked for
    if data is not None:
        raw = {**raw, "data": {**raw["data"], "name": data}}
    if scale is not None:
        raw = {**raw, "scale": scale}
    return flatten(resolve(raw).model_dump())


def _chosen(known: dict[str, Any], keys: Sequence[str]) -> list[str]:
    sections = {key.partition(".")[0] for key in known}
    for key in keys:
        if key not in known and key not in sections:
            section = key.partition(".")[0]
            for family in () if section in sections else family_names():
                if section in family_class(family).model_fields:
                    raise UserError(
                        f"section {section} is read by model.family {family} alone, and in use is "
                        f"{known['model.family']}; set model.family: {family} to see it"
                    )
            near = difflib.get_close_matches(key, [*known, *sections], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(sections))}"
            raise UserError(f"{name_shown(key)} is no setting and no section; {hint}")
    return [key for key in known if not keys or key in keys or key.partition(".")[0] in keys]


def _notes(text: str) -> dict[str, str]:
    """Dotted key -> the remark on its line."""
    from ruamel.yaml import YAML  # the one reader that keeps remarks

    tree = YAML().load(text)
    found = {}
    for section, keys in tree.items():
        found[section] = _remark(tree, section)
        if isinstance(keys, dict):
            found |= {f"{section}.{key}": _remark(keys, key) for key in keys}
    return found


def _remark(mapping: Any, key: str) -> str:
    """It is kept with the key or, behind a list in brackets, with the list."""
    of_value = getattr(getattr(mapping[key], "ca", None), "comment", None)
    for tokens in (*mapping.ca.items.get(key, ()), *(of_value or ())):
        for token in tokens if isinstance(tokens, list) else [tokens]:
            line = token.value.partition("\n")[0] if token else ""
            if line.startswith("#"):
                return str(line).removeprefix("#").removeprefix(" ")
    return ""
