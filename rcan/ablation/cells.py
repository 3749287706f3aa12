"""`cells.yaml`, the register of cells: what each changes, its seeds, and how tables show it.

A cell with a seed is called `<cell>-<seed>`, e.g. `rve_cgm-1`.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rcan.errors import UserError, name_shown, shown
from rcan.reading import Shape, parse_yaml, read_text, require_shape

CELLS = Path("ablations/cells.yaml")
FULL = "rcan"  # the whole model
LISTS = ("cells", "readings")
# Rows that are no cell, by stage controls -> the seeds that they have. What needs labels of studies
# is missing where there are none; a file says so.
CONTROLS = {"finding_template": (1, 2, 3), "oracle_template": (1,), "oracle_fitted": (1,)}
NO_LABELS = "no_labels.json"
# The paper's tables of scores and what finds a row there; the figures that have a column a cell. A
# test holds them true: rcan.reporting, which knows both, may not be imported here.
PAPER = {"table3": ("model",), "table4": ("rve", "cgm", "wcl"), "table5": ("tau",)}
FIGURES = ("fig4", "fig6")
_REMEDY = "mend it, or have it back by `git checkout ablations/cells.yaml`"
_NAME = re.compile(r"[a-z][a-z0-9_.]*")
_TABLE: dict[str, Shape] = {"title": str, "columns": [str], "minus": [str]}
_TABLE_MAY: dict[str, Shape] = {"findings": bool, "notes": [str]}
_SHOWN: dict[str, Shape] = {"title": str}
_SHOWN_MAY: dict[str, Shape] = {
    "row": dict, "paper": dict, "printed_as": str, "figures": [str], "control": bool,
    "colour": re.compile("#[0-9A-Fa-f]{6}"),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Dotted keys of params.yaml -> values in the place of its own."""

    name: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """A table of cells: heads of its first columns, and the cells that all are compared with."""

    title: str
    columns: tuple[str, ...]
    minus: tuple[str, ...]
    findings: bool = False  # its cells stand in the table of findings, too
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """How a cell is told of: `row` and `paper` map a table's name to the first columns there and to
    what the paper's row that it repeats is found by."""

    title: str
    row: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paper: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    printed_as: str = ""  # the cell that is the same model in the paper
    figures: tuple[str, ...] = ()
    control: bool = False
    colour: str = ""


@dataclass(frozen=True)
class Cells:
    """All cells, those of the paper first."""

    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    readings: tuple[Cell, ...]
    tables: Mapping[str, Listing] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)

    def runs(self) -> list[tuple[Cell, int]]:
        """Every cell with every seed; all cells of the first seed first."""
        return [(cell, seed) for seed in self.seeds for cell in (*self.cells, *self.readings)]

    def show(self, cell: str) -> Shown:
        """How a cell is told of; one that is not listed, by its name alone."""
        return self.shown.get(cell, Shown(cell))

    def of_table(self, *names: str) -> list[str]:
        """The cells with a row in one of these tables, the full model last."""
        found = [cell for cell, told in self.shown.items() if told.row.keys() & set(names)]
        return sorted(found, key=FULL.__eq__)

    def of_figure(self, name: str) -> list[str]:
        """The cells with a column in a figure, in their order."""
        return [cell for cell, told in self.shown.items() if name in told.figures]

    @property
    def of_readings(self) -> list[str]:
        """The names of the readings."""
        return [cell.name for cell in self.readings]


def run_name(cell: str, seed: int) -> str:
    """The name of a cell's run, of its plan and of its folders."""
    return f"{cell}-{seed}"


def cell_of(run: str) -> str:
    """`rve_cgm` of the run `rve_cgm-1`; empty of the main run."""
    return run.rpartition("-")[0]


def load_cells(path: Path) -> Cells:
    """Read `cells.yaml`. Raises `UserError` that names the cell where something is wrong."""
    text = read_text(path, "cells", _REMEDY)
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}; {_REMEDY}") from None
    known = {"seeds", *LISTS}
    if not isinstance(raw, dict) or not known <= set(raw) <= known | {"tables", "shown"}:
        raise UserError(
            f"{path}: expected seeds, cells and readings, and maybe tables and shown; "
            f"got {shown(raw)}; {_REMEDY}"
        )
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
    tables = _tables(raw.get("tables", {}), f"{path}, tables")
    told = _shown(raw.get("shown", {}), tables, f"{path}, shown")
    found = Cells(tuple(seeds), **lists, tables=tables, shown=told)
    _require_cells(found, path)
    return found


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


def _require_cells(cells: Cells, path: Path) -> None:
    """Raise `UserError` where tables or rows name a cell that there is not: of one that was taken
    out the row may stay, and be named."""
    listed = [*(cell.name for cell in (*cells.cells, *cells.readings)), *CONTROLS]
    without_row = [name for name in listed if name not in cells.shown]
    for name in cells.shown:
        if name not in listed and (near := _near(name, without_row)):
            raise _unknown(f"{path}, shown", name, near)
    known = [*listed, *map(str, cells.shown)]
    named = {f"tables, {name}, minus": table.minus for name, table in cells.tables.items()}
    for name, told in cells.shown.items():
        named[f"shown, {name}, printed_as"] = (told.printed_as,) if told.printed_as else ()
    for place, names in named.items():
        for name in names:
            if name not in known:
                raise _unknown(f"{path}, {place}", name, _near(name, known))


def _near(name: object, known: list[str]) -> list[str]:
    return difflib.get_close_matches(str(name), known, n=1, cutoff=0.85)


def _unknown(place: str, name: object, near: list[str]) -> UserError:
    mend = f"did you mean {near[0]}? {_REMEDY}" if near else _REMEDY
    return UserError(f"{place}: expected a cell of this file, got {name_shown(name)}; {mend}")


def _tables(raw: object, place: str) -> dict[str, Listing]:
    found = {}
    for name, content in _each(raw, place, _TABLE, _TABLE_MAY):
        lists = {key: tuple(content.get(key, ())) for key in ("columns", "minus", "notes")}
        found[name] = Listing(**{**content, **lists})
    return found


def _shown(raw: object, tables: Mapping[str, Listing], place: str) -> dict[str, Shown]:
    found = {}
    for name, content in _each(raw, place, _SHOWN, _SHOWN_MAY):
        row, paper = content.get("row", {}), content.get("paper", {})
        for table, columns in row.items():
            heads = tables[table].columns if table in tables else ()
            if not heads or not isinstance(columns, list) or len(columns) != len(heads):
                raise UserError(
                    f"{place}, {name}, row: expected a table of {', '.join(tables) or 'tables'} "
                    f"and a text for each of its columns; got {name_shown(table)}: "
                    f"{shown(columns)}; {_REMEDY}"
                )
        require_shape(paper, dict.fromkeys(paper, dict), f"{place}, {name}, paper", _REMEDY)
        figures = tuple(content.get("figures", ()))
        _require_printed(paper, figures, f"{place}, {name}")
        found[name] = Shown(
            **{
                **content,
                "row": {table: tuple(map(str, columns)) for table, columns in row.items()},
                "paper": {
                    table: {key: str(value) for key, value in wanted.items()}
                    for table, wanted in paper.items()
                },
                "figures": figures,
            }
        )
    return found


def _require_printed(
    paper: Mapping[str, Mapping[str, object]], figures: Sequence[str], place: str
) -> None:
    """Raise `UserError` where a cell is said to stand in what the paper has not."""
    for table, wanted in paper.items():
        if table not in PAPER or set(wanted) != set(PAPER[table]):
            known = " or ".join(f"{one} by {', '.join(by)}" for one, by in PAPER.items())
            raise UserError(
                f"{place}, paper: expected {known}; got {name_shown(table)} by "
                f"{', '.join(map(name_shown, wanted)) or 'nothing'}; {_REMEDY}"
            )
    for figure in figures:
        if figure not in FIGURES:
            raise UserError(
                f"{place}, figures: expected {' or '.join(FIGURES)}, got {name_shown(figure)}; "
                f"{_REMEDY}"
            )


def _each(
    raw: object, place: str, must: Mapping[str, Shape], may: Mapping[str, Shape]
) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a mapping, each checked to hold what it must, and nothing that it may not."""
    require_shape(raw, dict, place, _REMEDY)
    assert isinstance(raw, dict)
    for name, content in raw.items():
        where = f"{place}, {name_shown(name)}"
        require_shape(content, must, where, _REMEDY)
        if unknown := [key for key in content if key not in must and key not in may]:
            known = ", ".join([*must, *may])
            raise UserError(f"{where}: expected {known}, got {name_shown(unknown[0])}; {_REMEDY}")
        require_shape(content, {k: may[k] for k in may if k in content}, where, _REMEDY)
    return list(raw.items())
