"""What each family of models reads of params.yaml: a module a family, its `Config` in it."""

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from rcan.errors import UserError

if TYPE_CHECKING:
    from rcan.config.sections import Family


@cache
def family_names() -> tuple[str, ...]:
    """The families of models, in alphabetical order: the modules of this package."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def family_class(name: str) -> "type[Family]":
    """The settings of a family, of which its module is loaded. Raises `UserError` as `member`."""
    config: type[Family] = member(f"{__name__}.{name}", "Config")
    return config


def member(module: str, name: str) -> Any:
    """What every module of a family defines. Raises `UserError` where this one does not."""
    if (found := getattr(importlib.import_module(module), name, None)) is None:
        place = f"{module.replace('.', '/')}.py"
        raise UserError(f"{place}: expected it to define {name}; see docs/add-a-system.md")
    return found
