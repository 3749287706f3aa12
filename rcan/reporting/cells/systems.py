"""Figures of four panels, every system beside one constant report: what opens the page, and
BLEU-4 on the studies of each group alone.

A dot is a system's mean over its seeds. Its bar is the 95 % interval over studies; where their
counts are not kept (the fall, findings' F1, groups), the mean of the seeds' own intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rcan.reporting.cells.study import Ablations
from rcan.reporting.figures import BLUE, GREEN, INK, around, new_figure, save_figure, style

FILES = {"light": "{}.svg", "dark": "{}-dark.svg"}
TABLES = ("table3", "table4")  # whose rows are shown
GROUP_TITLES = {
    "in_train": "Report in train",
    "not_in_train": "Report not in train",
    "normal": "Normal studies",
    "abnormal": "Abnormal studies",
}
CONSTANT, SEED, PAPER = "one constant report", "each seed", "the paper's value"
_MEAN, _ALONE = "mean over seeds, 95 % interval", "score, 95 % interval"
_WIDTH, _ROW, _ROUND = 5.0, 0.21, 1.2  # inches: the figure, a row, what is around a panel's rows
_LINE = 0.75  # of a row: what each further line of a name takes
_APART = 0.4  # of a row: how far a control stands below the systems
_NAME = 0.83  # of a panel's width: what the constant's name takes at most
_COLOURS = {
    "light": {"back": "#FFFFFF", "ink": INK, "faint": "#5D666D", "line": "#E4E4E4", "ours": BLUE,
              "paper": GREEN},
    "dark": {"back": "#14181B", "ink": "#E6EAED", "faint": "#A3ADB5", "line": "#343C42",
             "ours": "#7CC0F0", "paper": "#74D3AE"},
}  # fmt: skip
_PAINTED = {
    "text.color": "ink", "xtick.color": "ink", "ytick.color": "ink", "axes.edgecolor": "faint",
    "grid.color": "line", "figure.facecolor": "back", "axes.facecolor": "back",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """What a panel shows of one system."""

    value: Mapping[str, float]  # score, low, high
    seeds: Sequence[float]
    paper: float | None
    control: bool


@dataclass(frozen=True)
class Panel:
    """Cell -> what is known of it; cells without a number are absent."""

    title: str
    unit: str
    points: Mapping[str, Point]
    constant: float | None

    @property
    def above(self) -> str:
        """How many systems, controls aside, lie above the constant report."""
        if self.constant is None:
            return ""
        scores = [of.value["score"] for of in self.points.values() if not of.control]
        higher = sum(score > self.constant for score in scores)
        return f"{higher} of {len(scores)} above the constant"

    @property
    def words(self) -> str:
        """The panel for those who do not see it."""
        scores = [point.value["score"] for point in self.points.values()]
        told = f"{self.title} ({self.unit}): {min(scores):.3f} to {max(scores):.3f}"
        if self.constant is None:
            return told
        return f"{told}; {CONSTANT} {self.constant:.3f}, {self.above}"


def _cells(ablations: Ablations) -> list[str]:
    """Those that are run, in the register's order, controls last."""
    cells = [cell for cell in ablations.cells.of_table(*TABLES) if ablations.model(cell).results]
    return sorted(cells, key=lambda cell: ablations.cells.show(cell).control)


def panels(ablations: Ablations) -> list[Panel]:
    """Those of which there is something to show."""
    cells = _cells(ablations)
    found = [
        *(_overlap(ablations, cells, metric) for metric in ("BLEU-4", "ROUGE-L")),
        _of_runs(ablations, cells, "Fall, swapped images", "BLEU-4, strict protocol", _fall),
        _of_runs(ablations, cells, "Findings F1", "macro: mean over findings", _f1),
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
        control = ablations.cells.show(cell).control
        points[cell] = Point(ablations.scores[cell, "paper"][metric], seeds, printed, control)
    constant = ablations.floors("paper")["best_constant"][metric]["score"] if cells else None
    return Panel(metric, "paper protocol", points, constant)


def _of_runs(
    ablations: Ablations, cells: Sequence[str], title: str, unit: str,
    read: Callable[[Mapping[str, Any], str], Mapping[str, Any]],
) -> Panel:  # fmt: skip
    points, constant = {}, None
    for cell in cells:
        scores = [result.scores for result in ablations.model(cell).results]
        seeds = [value for one in scores if (value := read(one, "model")).get("score") is not None]
        if seeds:
            mean = {end: fmean(v[end] for v in seeds) for end in ("score", "low", "high")}
            control = ablations.cells.show(cell).control
            points[cell] = Point(mean, [value["score"] for value in seeds], None, control)
        constant = read(scores[0], "best_constant").get("score")
    return Panel(title, unit, points, constant)


def _fall(scores: Mapping[str, Any], writer: str) -> Mapping[str, Any]:
    if writer != "model":
        return {"score": 0.0}  # the same text, whatever the image
    fall = scores["controls"]["image_swap"]["strict"]["fall"]["BLEU-4"]
    return {**fall, "score": fall["difference"]}


def _f1(scores: Mapping[str, Any], writer: str) -> Mapping[str, Any]:
    return scores["findings"][writer]["macro"]["f1"] if "findings" in scores else {}


def write_systems(ablations: Ablations, folder: Path) -> dict[str, Path]:
    """Write both figures, each light and dark: name -> place. With nothing run there is none, not
    even an old one."""
    written = {}
    for name, shown in (("systems", panels(ablations)), ("groups", group_panels(ablations))):
        for look, file in FILES.items():
            path = folder / file.format(name)
            if shown:
                with style():
                    save_figure(systems_figure(ablations, shown, look), path)
                written[path.stem] = path
            else:
                path.unlink(missing_ok=True)
    return written


def systems_figure(ablations: Ablations, shown: Sequence[Panel], look: str = "light") -> Figure:
    """The panels, two a row, for a page of any width; `look`: light or dark."""
    colours = _COLOURS[look]
    paint: Any = {key: colours[name] for key, name in _PAINTED.items()}
    cells = list(dict.fromkeys(cell for panel in shown for cell in panel.points))
    deep = (len(shown) + 1) // 2
    with style(), mpl.rc_context(paint):
        names = {cell: fill(ablations.cells.show(cell).title, 14) for cell in cells}
        rows = len(cells) + _LINE * sum(name.count("\n") for name in names.values())
        figure = new_figure(_WIDTH, deep * (_ROUND + _ROW * (rows + 1)) + 0.8)
        figure.suptitle(fill(ablations.scope(), 60), x=0.01, ha="left", weight="bold", size=10)
        one_axis = all(panel.title in GROUP_TITLES.values() for panel in shown)
        grid = figure.subplots(deep, 2, sharex=one_axis, sharey=True, squeeze=False)
        for axes, panel in zip(grid.flat, shown, strict=False):
            _draw(axes, ablations, panel, names, colours)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True))
        dot, _, (bar,) = known[cells[0]].lines
        known[cells[0]] = (bar, dot)
        told = {cells[0]: _MEAN if SEED in known else _ALONE}
        told |= {name: name for name in (CONSTANT, SEED, PAPER) if name in known}
        figure.legend([known[name] for name in told], list(told.values()),
                      loc="outside lower left", ncols=2)  # fmt: skip
    return figure


def _draw(
    axes: Axes, ablations: Ablations, panel: Panel, names: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:  # fmt: skip
    """`names`: what stands beside each cell's row, in its lines."""
    shows = {cell: ablations.cells.show(cell) for cell in names}
    places, end = {}, 0.0
    for cell, name in names.items():
        more = _LINE * name.count("\n")
        places[cell] = end + more / 2 + _APART * shows[cell].control
        end += 1 + more
    for cell, point in panel.points.items():
        place, told = places[cell], shows[cell]
        colour = colours["faint"] if told.control else told.colour or colours["ours"]
        below, above = around(point.value)
        axes.errorbar(point.value["score"], place, xerr=[[below], [above]], fmt="o", color=colour,
                      mfc=colours["back"] if told.control else colour, ms=6, elinewidth=1.8,
                      label=cell)  # fmt: skip
        if len(point.seeds) > 1:
            axes.plot(point.seeds, [place - 0.3] * len(point.seeds), "o", color=colours["faint"],
                      ms=2.6, label=SEED)  # fmt: skip
        if point.paper is not None:
            axes.plot(point.paper, place + 0.1, "D", color=colours["paper"], ms=5, label=PAPER)
    axes.margins(x=0.08)
    if panel.constant is not None:
        axes.plot([panel.constant] * 2, [-0.65, end], color=colours["ink"], ls="--", lw=1.8,
                  label=CONSTANT, zorder=1.5)  # fmt: skip
        low, high = axes.get_xlim()
        left = 0.02 + (1 - _NAME) * (panel.constant - low) / (high - low)
        axes.text(left, -0.75, f"constant report {panel.constant:.3f}", weight="bold", size=9,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_title(panel.title, weight="bold", size=10, pad=18)
    axes.annotate(panel.above, (0, 1), xytext=(0, 5), xycoords="axes fraction",
                  textcoords="offset points", color=colours["faint"], size=9)  # fmt: skip
    axes.set_xlabel(panel.unit, size=9, color=colours["faint"])
    axes.set_yticks(list(places.values()), [*names.values()])
    axes.set_ylim(end, -1.5)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=9, labelbottom=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
