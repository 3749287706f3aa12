"""Figures 3 and 5: the modules on and off, and λ; with intervals, floor, and the paper's values."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rcan.ablation.cells import FULL
from rcan.reporting.cells.study import Ablations
from rcan.reporting.figures import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    around,
    new_figure,
    save_both,
    style,
)
from rcan.reporting.names import listed
from rcan.reporting.published import METRICS

PROTOCOL = "paper"
STEP = 0.1 + 1e-9  # of the grid of λ
FIG_5_METRICS = ("BLEU-4", "METEOR", "ROUGE-L")
ASIDE = 0.2  # of a bar's middle, where its interval is: above it the seeds, below it the paper
_FLOOR = "best constant report"
_NOISE = "bars: 95 % intervals over studies"


def figure_3(ablations: Ablations, out: Path) -> None:
    """Six panels, one a metric, a bar a row of Table 4, as `out` (PNG) and beside it as SVG."""
    with style():
        figure = new_figure(10.5, 6.4)
        figure.suptitle(
            f"Figure 3, modules: {ablations.scope(PROTOCOL)}\n"
            f"{_NOISE}; {_seeds(ablations)}{_dots(ablations)}",
            x=0.01, ha="left", weight="bold", size=11,
        )  # fmt: skip
        panels = figure.subplots(2, 3, sharey=True)
        for axes, metric in zip(panels.flat, METRICS, strict=True):
            _bars(axes, ablations, metric)
        _legend(figure, panels.flat[0])
        save_both(figure, out)


def _seeds(ablations: Ablations) -> str:
    most = max((len(model.done) for model in ablations.models.values()), default=0)
    return "means over the seeds" if most > 1 else "one seed a cell"


def _modules(ablations: Ablations) -> list[str]:
    return ablations.cells.of_table("table4")


def _dots(ablations: Ablations) -> str:
    several = any(len(ablations.model(cell).done) > 1 for cell in _modules(ablations))
    return ", dots: each seed" if several else ""


def _bars(axes: Axes, ablations: Ablations, metric: str) -> None:
    for place, cell in enumerate(_modules(ablations)):
        value = ablations.scores.get((cell, PROTOCOL))
        if value is None:
            axes.text(0.01, place, "not run", va="center", color=FAINT, size=9,
                      transform=axes.get_yaxis_transform())  # fmt: skip
        else:
            colour = ablations.cells.show(cell).colour or BLUE
            axes.barh(place, value[metric]["score"], color=colour, height=0.62, alpha=0.85)
            _whiskers(axes, value[metric], place)
            _mark_seeds(axes, ablations, cell, metric, place - ASIDE)
    _mark_published(axes, ablations, metric)
    _floor_line(axes, ablations, metric, vertical=True)
    axes.set_title(metric)
    titles = [ablations.title(cell) for cell in _modules(ablations)]
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(max(len(titles), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    axes.margins(x=0.08)


def _mark_seeds(axes: Axes, ablations: Ablations, cell: str, metric: str, place: float) -> None:
    results = ablations.model(cell).results
    if len(results) > 1:
        scores = [result.counts[PROTOCOL].corpus[metric] for result in results]
        axes.plot(scores, [place] * len(scores), "o", color=INK, ms=3, mec="white", mew=0.5)


def _whiskers(axes: Axes, value: Mapping[str, float], place: float) -> None:
    below, above = around(value)
    axes.errorbar(
        value["score"], place, xerr=[[below], [above]], color=INK, elinewidth=1.4, capsize=2.5
    )


def _mark_published(axes: Axes, ablations: Ablations, metric: str) -> None:
    rows = {place: ablations.printed(cell) for place, cell in enumerate(_modules(ablations))}
    known = {at: score for at, row in rows.items() if row and (score := row[metric])}
    if known:
        axes.plot(
            list(known.values()), [place + ASIDE for place in known], "D", color=GREEN, ms=6,
            mec="white",
            label="the paper, Table 4", zorder=5,
        )  # fmt: skip


def _floor_line(axes: Axes, ablations: Ablations, metric: str, *, vertical: bool) -> None:
    floors = ablations.floors(PROTOCOL)
    if floors:
        draw = axes.axvline if vertical else axes.axhline
        at = floors["best_constant"][metric]["score"]
        draw(at, color=INK, ls="--", lw=1.5, label=_FLOOR, zorder=4)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def figure_5(ablations: Ablations, out: Path) -> None:
    """BLEU-4, METEOR and ROUGE-L against λ: cross-entropy alone, and with the contrastive loss."""
    points = _points(ablations)
    with style():
        figure = new_figure(10.5, 4.4)
        title = f"Figure 5, λ: {ablations.scope(PROTOCOL)}\n{_NOISE}; {_seeds(ablations)}"
        if missing := _missing(ablations):
            title += f"; not run: {missing}"
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
        panels = figure.subplots(1, len(FIG_5_METRICS))
        for axes, metric in zip(panels, FIG_5_METRICS, strict=True):
            _curve(axes, ablations, points, metric)
        _legend(figure, panels[0])
        save_both(figure, out)


def _grid(ablations: Ablations) -> dict[str, float]:
    """The cells of the grid, each with its λ; NaN: cross-entropy alone."""
    grid = {cell: ablations.cells.show(cell).row["fig5"][0] for cell in _of_grid(ablations)}
    return {cell: float(told) if told[0].isdigit() else nan for cell, told in grid.items()}


def _of_grid(ablations: Ablations) -> list[str]:
    return [cell for cell in ablations.cells.of_table("fig5") if cell != FULL]


def _points(ablations: Ablations) -> list[tuple[float, str]]:
    """(λ, cell) of the grid and of the full model, by λ; only what is run."""
    points = {
        at: cell
        for cell, at in _grid(ablations).items()
        if not isnan(at) and (cell, PROTOCOL) in ablations.scores
    }
    for result in ablations.model(FULL).results:
        value = result.config.get("wcl", {}).get("lambda_ce")
        if isinstance(value, int | float):
            points.setdefault(float(value), FULL)
    return sorted(points.items())


def _missing(ablations: Ablations) -> str:
    missing = {cell: at for cell, at in _grid(ablations).items()
               if (cell, PROTOCOL) not in ablations.scores}  # fmt: skip
    values = [f"{at:g}" for at in missing.values() if not isnan(at)]
    alone = [ablations.title(cell) for cell, at in missing.items() if isnan(at)]
    return listed([*([f"λ {', '.join(values)}"] if values else []), *alone])


def _curve(
    axes: Axes, ablations: Ablations, points: Sequence[tuple[float, str]], metric: str
) -> None:
    for cell, at in _grid(ablations).items():
        if not isnan(at) or (cell, PROTOCOL) not in ablations.scores:
            continue
        value = ablations.scores[cell, PROTOCOL][metric]
        axes.axhspan(value["low"], value["high"], color=ORANGE, alpha=0.25, lw=0)
        axes.axhline(value["score"], color=ORANGE, lw=2, label="CE alone, band: its interval")
    _floor_line(axes, ablations, metric, vertical=False)
    if points:
        values = [ablations.scores[cell, PROTOCOL][metric] for _, cell in points]
        reach: Any = list(zip(*map(around, values), strict=True))
        axes.errorbar(
            [at for at, _ in points], [value["score"] for value in values], yerr=reach,
            fmt="o", color=BLUE, ms=5, elinewidth=1.4, capsize=2.5, label="CE + WCL",
        )  # fmt: skip
        for left, right in pairwise(points):
            if right[0] - left[0] < STEP:  # no line over a λ that is not run
                ends = [
                    ablations.scores[cell, PROTOCOL][metric]["score"] for _, cell in (left, right)
                ]
                axes.plot([left[0], right[0]], ends, color=BLUE, lw=1.5)
    for cell, at in _grid(ablations).items():
        score = (ablations.printed(FULL) or {}).get(metric)
        if score is None or ablations.cells.show(cell).printed_as != FULL:
            continue
        axes.plot(at, score, "D", color=GREEN, ms=7, mec="white", zorder=5,
                  label=f"the paper: RCAN, λ = {at:g}")  # fmt: skip
    axes.set_title(metric)
    axes.set_xlabel("λ, the weight of cross-entropy")
    axes.set_xlim(0.05, 1.05)
    tenths = [number / 10 for number in range(1, 10)]
    ticks = sorted({*tenths, *(at for at, _ in points)})
    axes.set_xticks(ticks, [f"{at:g}" for at in ticks])
    axes.tick_params(axis="x", labelsize=8)
    axes.margins(y=0.12)
