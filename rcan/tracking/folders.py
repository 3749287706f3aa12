"""Where the files of the runs lie, and which cells of the paper's tables each run is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.ablation.cells import CELLS, load_cells
from rcan.ablation.plan import MAIN, plan
from rcan.config import from_dict, load_settings
from rcan.dotted import flatten
from rcan.errors import UserError
from rcan.reading import parse_yaml, read_json, read_text
from rcan.reporting.groups import FIG_5, FULL, TABLE_4, TABLE_5

CELL_TAGS = ("cell", "paper.table4", "paper.table5", "paper.fig5", "paper.readings")
REMEDY = "run `dvc repro` or `dvc checkout` to have it back"
_ELSEWHERE = ("data.root", "visual.weights")  # places: kept beside a run without their folders


@dataclass(frozen=True)
class RunFolders:
    """Where one run's files lie, e.g. runs/main, data/evaluation/main and reports.

    `tags` are CELL_TAGS of the cells that the run is; None where nobody asked. `reading` is the
    reading of the paper that it is, if it is one.
    """

    run: Path
    evaluation: Path | None = None
    reports: Path | None = None
    tags: Mapping[str, str] | None = None
    reading: str | None = None


def run_folders(root: Path) -> list[RunFolders]:
    """The main run and those of the cells, as far as they are trained here: not published numbers.

    A run is tagged as a cell while its settings are those that the cell has now: not after
    params.yaml or cells.yaml changed and until it is trained again.
    """
    trained = sorted(path.parent.name for path in root.glob("runs/*/best.json"))
    evaluations = root / "data/evaluation"
    published = {path.parent.name for path in evaluations.glob("*/scores.json")}
    published -= {path.parent.name for path in evaluations.glob("*/predictions.csv")}
    planned, readings = _planned(root)
    found = []
    for name in trained:
        if name not in published:
            run, cells = root / "runs" / name, list[str]()
            if planned is not None:
                cells = _cells(name, planned, read_config(run))
            found.append(
                RunFolders(
                    run=run,
                    evaluation=evaluations / name,
                    reports=root / "reports" if name == MAIN else None,
                    tags=None if planned is None else cell_tags(cells, readings),
                    reading=next((c for c in cells if c in readings and name != MAIN), None),
                )
            )
    return found


def read_config(run: Path, remedy: str = REMEDY) -> dict[str, Any]:
    """The settings of a run that it used, one level of dotted keys.

    Raises:
        UserError: config.json is missing, damaged or of another version.
    """
    path = run / "config.json"
    kept = read_json(path, dict, "settings", remedy)
    try:
        return flatten(from_dict(kept).used())
    except UserError as error:
        raise UserError(f"{path}: {error}; {remedy}") from None


def cell_tags(cells: Iterable[str], readings: Iterable[str]) -> dict[str, str]:
    """What a run of these cells is found by."""
    names = list(cells)
    groups = {
        "paper.table4": TABLE_4,
        "paper.table5": TABLE_5,
        "paper.fig5": (FULL, *FIG_5),
        "paper.readings": (FULL, *readings),
    }
    tags = {tag: "yes" for tag, group in groups.items() if set(group) & set(names)}
    return {"cell": " ".join(names), **tags} if names else {}


def _planned(root: Path) -> tuple[dict[str, dict[str, Any]] | None, list[str]]:
    """The settings of every run, or the run that it is the same as, and the names of readings."""
    path, params = root / CELLS, root / "params.yaml"
    if not path.exists():
        return None, []
    settings, cells = load_settings(params), load_cells(path)
    raw = parse_yaml(read_text(params, "settings", "mend it"))
    return {MAIN: settings.used(), **plan(raw, cells)}, [cell.name for cell in cells.readings]


def _cells(name: str, planned: Mapping[str, dict[str, Any]], config: dict[str, Any]) -> list[str]:
    """The cells that a run is: its own, and those that are one training with it."""
    wanted = flatten(planned.get(name, {}))
    for key in _ELSEWHERE:
        wanted.pop(key, None)
    if not wanted or any(config.get(key) != value for key, value in wanted.items()):
        return []
    return [
        run.rpartition("-")[0]
        for run, content in planned.items()
        if run != MAIN and (run == name or content.get("same_as") == name)
    ]
