"""Where the files of the runs lie, and which cells of the paper's tables each run is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.ablation.cells import CELLS, CONTROLS, FULL, Cells, cell_of, load_cells
from rcan.ablation.plan import MAIN, plan
from rcan.config import from_dict, load_settings
from rcan.dotted import flatten
from rcan.errors import UserError
from rcan.reading import parse_yaml, read_json, read_text
from rcan.tracking.metrics import paper_tags

TABLES = ("table3", "table4", "table5", "fig5")
CELL_TAGS = ("cell", *(f"paper.{table}" for table in TABLES), "paper.readings")
REMEDY = "run `dvc repro` or `dvc checkout` to have it back"
_ELSEWHERE = ("data.root", "visual.weights")  # places: kept beside a run without their folders


@dataclass(frozen=True)
class RunFolders:
    """Where one run's files lie, e.g. runs/main, data/evaluation/main and reports.

    `tags` are those of the cells that the run is, see `cell_tags`; None where nobody asked.
    `reading` is the reading of the paper that it is, if it is one.
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
    planned, register = _planned(root)
    found = []
    for name in trained:
        if name not in published:
            run = root / "runs" / name
            cells: list[str] = []
            tags: dict[str, str] | None = None
            if planned is not None:
                config = read_config(run)
                cells = _cells(name, planned, config)
                tags = cell_tags(cells, register, config)
            found.append(
                RunFolders(
                    run=run,
                    evaluation=evaluations / name,
                    reports=root / "reports" if name == MAIN else None,
                    tags=tags,
                    reading=next(
                        (c for c in cells if c in register.of_readings and name != MAIN), None
                    ),
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
    if cell_of(run.name) in CONTROLS:
        return flatten(kept)
    try:
        return flatten(from_dict(kept).used())
    except UserError as error:
        raise UserError(f"{path}: {error}; {remedy}") from None


def cell_tags(cells: Iterable[str], register: Cells, config: Mapping[str, Any]) -> dict[str, str]:
    """What a run of these cells is found by, CELL_TAGS, and the paper's row that it repeats."""
    names = list(cells)
    others = [name for name in names if name != FULL]  # whose row its settings tell
    printed = paper_tags(config, map(register.show, others))
    groups = {f"paper.{table}": register.of_table(table) for table in TABLES}
    groups["paper.readings"] = [FULL, *register.of_readings]
    tags = {tag: "yes" for tag, group in groups.items() if set(group) & set(names)}
    return {"cell": " ".join(names), **tags, **printed} if names else printed


def register_of(root: Path) -> Cells:
    """The project's cells; none where there is no list of them."""
    return load_cells(root / CELLS) if (root / CELLS).exists() else Cells((), (), ())


def _planned(root: Path) -> tuple[dict[str, dict[str, Any]] | None, Cells]:
    """The settings of every run, or the run that it is the same as, and the cells."""
    params, cells = root / "params.yaml", register_of(root)
    if not cells.seeds:
        return None, cells
    settings = load_settings(params)
    raw = parse_yaml(read_text(params, "settings", "mend it"))
    return {MAIN: settings.used(), **plan(raw, cells)}, cells


def _cells(name: str, planned: Mapping[str, dict[str, Any]], config: dict[str, Any]) -> list[str]:
    """The cells that a run is: its own, and those that are one training with it; or a control."""
    if cell_of(name) in CONTROLS:
        return [cell_of(name)]
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
