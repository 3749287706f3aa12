"""Nested settings by dotted keys, as the command line and MLflow name them."""

from collections.abc import Mapping
from typing import Any


def flatten(settings: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """{"wcl": {"tau": 0.1}} -> {"wcl.tau": 0.1}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
