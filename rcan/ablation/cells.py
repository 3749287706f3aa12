"""`cells.yaml`: what each cell changes, and the seeds that it is trained with.

A cell with a seed is called `<cell>-<seed>`, e.g. `rve_cgm-1`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.errors import UserError, name_shown, shown
from rcan.reading import parse_yaml, read_text

CELLS = Path("ablations/cells.yaml")
LISTS = ("cells", "readings")
_REMEDY = "mend it, or have it back by `git checkout ablations/cells.yaml`"
_NAME = re.compile(r"[a-z][a-z0-9_.]*")


@dataclass(frozen=True)
class Cell:
    """Dotted keys of params.yaml -> values in the place of its own."""

    name: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Cells:
    """All cells, those of the paper first."""

    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    readings: tuple[Cell, ...]

    def runs(self) -> list[tuple[Cell, int]]:
        """Every cell with every seed; all cells of the first seed first."""
        return [(cell, seed) for seed in self.seeds for cell in (*self.cells, *self.readings)]


def run_name(cell: str, seed: int) -> str:
    """The name of a cell's run, of its plan and of its folders."""
    return f"{cell}-{seed}"


def load_cells(path: Path) -> Cells:
    """Read `cells.yaml`. Raises `UserError` that names the cell where something is wrong."""
    text = read_text(path, "cells", _REMEDY)
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}; {_REMEDY}") from None
    if not isinstance(raw, dict) or set(raw) != {"seeds", *LISTS}:
        raise UserError(f"{path}: expected seeds, cells and readings; got {shown(raw)}; {_REMEDY}")
    seeds = raw["seeds"]
    if (
        not isinstance(seeds, list)
        or not seeds
        or not all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds)
        or len(set(seeds)) < len(seeds)
    ):
        raise UserError(f"{path}: seeds must be different whole numbers; they are {shown(seeds)}")
    lists = {name: _cells(raw[name], path, name) for name in LISTS}
    twice = {cell.name for cell in lists["cells"]} & {cell.name for cell in lists["readings"]}
    if twice:
        raise UserError(f"{path}: {min(twice)} is in both lists; rename one")
    return Cells(tuple(seeds), **lists)


def _cells(raw: object, path: Path, where: str) -> tuple[Cell, ...]:
    if not isinstance(raw, dict) or not raw:
        raise UserError(f"{path}: {where} must name cells; it is {shown(raw)}; {_REMEDY}")
    for name, changes in raw.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "main":
            raise UserError(
                f"{path}: a cell's name begins with a-z, has 0-9, _ and . too, and is not "
                f"main; got {name_shown(name)}; rename it"
            )
        if not isinstance(changes, dict) or not all(isinstance(key, str) for key in changes):
            raise UserError(
                f"{path}: cell {name} must map keys of params.yaml to values; it is "
                f"{shown(changes)}; write {{}} for none"
            )
    return tuple(Cell(name, dict(changes)) for name, changes in raw.items())
