"""Cells to settings: each cell resolved, without what it does not use, and equal ones trained once.

A plan file holds the resolved settings of one run, so that a stage which depends on it runs again
exactly when something changes that this cell uses. A run that equals the main one, or an earlier
cell's, holds a pointer in their place: {"same_as": "main"}.
"""

import copy
import difflib
import shutil
from pathlib import Path
from typing import Any

from rcan.ablation.cells import Cell, Cells, load_cells, run_name
from rcan.config import PipelineSettings, from_dict, resolve
from rcan.errors import UserError, name_shown
from rcan.files import digest_of, place_beside, write_json, write_text
from rcan.reading import parse_yaml, read_json, read_text

MAIN = "main"
PLAN = Path("ablations/plan")
ORDER = "order.txt"
_REMEDY = "run `dvc repro ablations/dvc.yaml:plan`"
_DATA = ("root", "image_size", "fit", "min_freq")  # these shaped the data that are there


def plan_files(params: Path, cells: Path) -> dict[str, dict[str, Any]]:
    """`plan` for what params.yaml and cells.yaml hold."""
    return plan(parse_yaml(read_text(params, "settings", "mend it")), load_cells(cells))


def plan(raw: object, cells: Cells) -> dict[str, dict[str, Any]]:
    """Run name -> its settings, or a pointer; `raw` is what params.yaml holds.

    Raises `UserError` that names the cell whose changes do not fit.
    """
    first = {digest_of(_used(resolve(raw))): MAIN}
    planned: dict[str, dict[str, Any]] = {}
    for cell, seed in cells.runs():
        used = _used(_resolved(raw, cell, seed))
        name, digest = run_name(cell.name, seed), digest_of(used)
        planned[name] = {"same_as": first[digest]} if digest in first else used
        first.setdefault(digest, name)
    return planned


def write_plan(planned: dict[str, dict[str, Any]], out: Path) -> None:
    """A file a run and their order; the folder whole or not at all."""
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    for name, content in planned.items():
        write_json(beside / f"{name}.json", content)
    write_text(beside / ORDER, "".join(f"{name}\n" for name in planned))
    shutil.rmtree(out, ignore_errors=True)
    beside.replace(out)


def planned_runs(folder: Path = PLAN) -> list[str]:
    """The names of all planned runs, all cells of the first seed first."""
    return read_text(folder / ORDER, "the order of cells", _REMEDY).split()


def same_as(name: str, folder: Path = PLAN) -> str:
    """The run whose folders hold what `name` stands for: itself, or the one that it points to."""
    if name == MAIN:
        return MAIN
    planned = _read(name, folder)
    return str(planned.get("same_as", name))


def planned_settings(
    name: str, settings: PipelineSettings, folder: Path = PLAN
) -> PipelineSettings:
    """The settings of a planned run that is no pointer.

    What the run does not use, and where raw data lie, are taken from `settings`.
    """
    planned = _read(name, folder)
    own = settings.model_dump()
    for section, values in planned.items():
        own[section] = {**own[section], **values} if isinstance(values, dict) else values
    try:
        from_dict({key: own[key] for key in own if key not in ("eval", "privacy")})
    except UserError as error:
        raise UserError(f"{folder / name}.json: {error}; {_REMEDY}") from None
    return PipelineSettings.model_validate(own)


def pass_on(out: Path, of: str) -> None:
    """Leave in `out`, a run's or an evaluation's folder, nothing but which one it equals."""
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    write_json(beside / "same_as.json", {"same_as": of})
    shutil.rmtree(out, ignore_errors=True)
    beside.replace(out)


def _read(name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.json"
    if not path.is_file() and name not in (known := planned_runs(folder)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"{name_shown(name)} is no planned cell with its seed; {hint}")
    planned: dict[str, Any] = read_json(path, dict, "the plan of a cell", _REMEDY)
    return planned


def _resolved(raw: object, cell: Cell, seed: int) -> PipelineSettings:
    changed: Any = copy.deepcopy(raw)
    try:
        for key, value in {**cell.changes, "train.seed": seed}.items():
            section, _, field = key.partition(".")
            known = changed.get(section)
            if not isinstance(known, dict) or field not in known:
                raise UserError(f"unknown key {name_shown(key)}")
            known[field] = value
        return resolve(changed)
    except UserError as error:
        raise UserError(f"ablations/cells.yaml, cell {cell.name}: {error}") from None


def _used(settings: PipelineSettings) -> dict[str, Any]:
    """What shapes a training besides its data, as plain values."""
    used = settings.used()
    used.pop("demo", None)  # shapes the data, too
    used["visual"]["weights"] = settings.visual.weights
    for key in _DATA:
        del used["data"][key]
    return used
