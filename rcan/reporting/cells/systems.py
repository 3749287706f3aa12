"""Figures of four panels, every system beside one constant report: what opens the page, and
BLEU-4 on the studies of each group alone.

A dot is a system's mean over its seeds. Its bar is the 95 % interval over studies; where their
counts are not kept (the fall, findings' F1, groups), the mean of the seeds' own intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rcan.reporting.cells.study import Ablations
from rcan.reporting.figures import save_figure, style
from rcan.reporting.panels import (
    F1,
    FALL,
    OF_F1,
    OVERLAP,
    Panel,
    Point,
    System,
    f1_of,
    fall_of,
    point_of,
)
from rcan.reporting.panels_figure import VERSIONS, draw_panels

TABLES = ("table3", "table4")  # whose rows are shown
GROUP_TITLES = {
    "in_train": "Report in train",
    "not_in_train": "Report not in train",
    "normal": "Normal studies",
    "abnormal": "Abnormal studies",
}


def _cells(ablations: Ablations) -> list[str]:
    """Those that are run, in the register's order, controls last."""
    cells = [cell for cell in ablations.cells.of_table(*TABLES) if ablations.model(cell).results]
    return sorted(cells, key=lambda cell: ablations.cells.show(cell).control)


def panels(ablations: Ablations) -> list[Panel]:
    """Those of which there is something to show."""
    cells = _cells(ablations)
    found = [
        *(_overlap(ablations, cells, metric) for metric in OVERLAP),
        _of_runs(ablations, cells, FALL, "BLEU-4, strict protocol", _fall),
        _of_runs(ablations, cells, F1, OF_F1, f1_of),
    ]
    return [panel for panel in found if panel.points]


def group_panels(ablations: Ablations) -> list[Panel]:
    """BLEU-4 on the studies of each group, as far as the data tell of it."""
    cells = _cells(ablations)
    if not cells:
        return []
    known = ablations.results[0].scores["groups"]["strict"]
    found = [
        _of_runs(
            ablations, cells, title, f"BLEU-4, strict, {told['num_studies']} studies", _in(key)
        )
        for key, title in GROUP_TITLES.items()
        if (told := known.get(key))
    ]
    return [panel for panel in found if panel.points]


def _in(group: str) -> Callable[[Mapping[str, Any], str], Mapping[str, Any]]:
    return lambda scores, writer: scores["groups"]["strict"][group][writer]["BLEU-4"]


def _overlap(ablations: Ablations, cells: Sequence[str], metric: str) -> Panel:
    points = {}
    for cell in cells:
        seeds = [result.counts["paper"].corpus[metric] for result in ablations.model(cell).results]
        printed = (ablations.printed(cell) or {}).get(metric)
        score = ablations.scores[cell, "paper"][metric]
        points[_system(ablations, cell)] = Point(score, seeds, printed)
    constant = ablations.floors("paper")["best_constant"][metric]["score"] if cells else None
    return Panel(metric, "paper protocol", points, constant)


def _of_runs(
    ablations: Ablations, cells: Sequence[str], title: str, unit: str,
    read: Callable[[Mapping[str, Any], str], Mapping[str, Any]],
) -> Panel:  # fmt: skip
    points, constant = {}, None
    for cell in cells:
        scores = [result.scores for result in ablations.model(cell).results]
        if point := point_of([read(one, "model") for one in scores]):
            points[_system(ablations, cell)] = point
        constant = read(scores[0], "best_constant").get("score")
    return Panel(title, unit, points, constant)


def _system(ablations: Ablations, cell: str) -> System:
    told = ablations.cells.show(cell)
    return System(told.title, told.control, told.colour)


def _fall(scores: Mapping[str, Any], writer: str) -> Mapping[str, Any]:
    # Of one text there is none, whatever the image.
    return fall_of(scores, "strict") if writer == "model" else {"score": 0.0}


def write_systems(ablations: Ablations, folder: Path) -> dict[str, Path]:
    """Write both figures, each in all `VERSIONS`: name -> place. With nothing run there is none,
    not even an old one."""
    written = {}
    for name, shown in (("systems", panels(ablations)), ("groups", group_panels(ablations))):
        for version in VERSIONS:
            path = folder / f"{name}{version}.svg"
            if shown:
                of_groups = name == "groups"
                figure = draw_panels(ablations.scope(), shown, version, one_axis=of_groups)
                with style():
                    save_figure(figure, path)
                written[path.stem] = path
            else:
                path.unlink(missing_ok=True)
    return written
