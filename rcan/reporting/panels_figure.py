"""Figures of panels that share their rows, for a page of any width and for a wide one.

A dot is a system's mean over its seeds, its bar a 95 % interval over studies.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rcan.reporting.figures import (
    BLUE,
    GREEN,
    INK,
    VERMILLION,
    around,
    as_address,
    drawn,
    new_figure,
    style,
)
from rcan.reporting.panels import CONSTANT, Panel, System

# What a file's name ends in -> whether the panels stand in one row, for a wide page; the look.
VERSIONS = {
    "": (False, "light"), "-dark": (False, "dark"),
    "-wide": (True, "light"), "-wide-dark": (True, "dark"),
}  # fmt: skip
SEED, PAPER = "each seed", "the paper's value"
_MEAN, _ALONE = "mean over seeds, 95 % interval", "score, 95 % interval"
_PANEL = {False: 1.83, True: 1.95}  # inches: a panel's width; names stand beside it
_NAMES = {False: (1.34, 14), True: (2.2, 28)}  # inches and letters of the longest line
_ROW, _ROUND = 0.21, 1.2  # inches: a row, what is around a panel's rows
_LINE = 0.75  # of a row: what each further line of a name takes
_APART = 0.4  # of a row: how far a control stands below the systems
_NAME = 0.83  # of a panel's width: what the constant's name takes at most
_FAR = 3.0  # times the systems' range: a control farther up is an arrow at the panel's end
_WIDE = "(min-width: 60rem)"
_COLOURS = {
    "light": {"back": "#FFFFFF", "ink": INK, "faint": "#5D666D", "line": "#E4E4E4", "ours": BLUE,
              "paper": GREEN, "mine": VERMILLION, "band": "#FBE9DF"},
    "dark": {"back": "#14181B", "ink": "#E6EAED", "faint": "#A3ADB5", "line": "#343C42",
             "ours": "#7CC0F0", "paper": "#74D3AE", "mine": "#F08C4A", "band": "#3A2A20"},
}  # fmt: skip
_PAINTED = {
    "text.color": "ink", "xtick.color": "ink", "ytick.color": "ink", "axes.edgecolor": "faint",
    "grid.color": "line", "figure.facecolor": "back", "axes.facecolor": "back",
}  # fmt: skip


def draw_panels(
    scope: str, panels: Sequence[Panel], version: str = "", *, one_axis: bool = False
) -> Figure:
    """The panels, two a row for a page of any width, or all in one row for a wide one.

    Args:
        scope: what all numbers stand on; the figure's title, if there is one.
        version: one of `VERSIONS`.
        one_axis: whether all panels have the same axis.
    """
    wide, look = VERSIONS[version]
    colours = _COLOURS[look]
    paint: Any = {key: colours[name] for key, name in _PAINTED.items()}
    rows = list(dict.fromkeys(row for panel in panels for row in panel.points))
    across = len(panels) if wide else 2
    deep = -(-len(panels) // across)
    beside, letters = _NAMES[wide]
    with style(), mpl.rc_context(paint):
        names = {row: fill(row.title, letters) for row in rows}
        lines = len(rows) + _LINE * sum(name.count("\n") for name in names.values())
        width = beside + across * _PANEL[wide]
        figure = new_figure(width, deep * (_ROUND + _ROW * (lines + 1)) + 0.8)
        if scope:
            title = fill(scope, round(12 * width))
            figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
        grid = figure.subplots(deep, across, sharex=one_axis, sharey=True, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw(axes, panel, names, colours)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True))
        plain = [row.title for row in rows if not (row.control or row.mine)]
        first = next(name for name in [*plain, *(row.title for row in rows)] if name in known)
        dot, _, (bar,) = known[first].lines
        known[first] = (bar, dot)
        told = {first: _MEAN if SEED in known else _ALONE}
        told |= {name: name for name in (CONSTANT, SEED, PAPER) if name in known}
        figure.legend([known[name] for name in told], list(told.values()),
                      loc="outside lower left", ncols=4 if wide else 2)  # fmt: skip
    return figure


def _end(panel: Panel) -> float | None:
    """Where the axis ends, if a control lies so far up that the systems would be one heap."""
    ends = [panel.constant or 0.0]
    for row, point in panel.points.items():
        below, above = around(point.value)
        score = point.value["score"]
        ends += [] if row.control else [score - below, score + above]
    far = min(ends) + _FAR * (max(ends) - min(ends))
    beyond = any(of.value["score"] > far for of in panel.points.values())
    return far if len(ends) > 1 and beyond else None


def addresses(panels: Sequence[Panel]) -> dict[str, str]:
    """All `VERSIONS` of a figure, for a page that stands alone."""
    with style():
        return {
            version: as_address(drawn(draw_panels("", panels, version), "svg"), "svg+xml")
            for version in VERSIONS
        }


def picture_html(addresses: Mapping[str, str], name: str, alt: str) -> Markup:
    """A figure's `VERSIONS` as HTML that shows the one which the reader's screen asks for."""
    dark = "(prefers-color-scheme: dark)"
    sources = [
        Markup('<source media="{}" srcset="{}">\n').format(media, addresses[name + version])
        for media, version in (
            (f"{_WIDE} and {dark}", "-wide-dark"), (_WIDE, "-wide"), (dark, "-dark")
        )
    ]  # fmt: skip
    image = Markup('<img alt="{}." src="{}">').format(alt, addresses[name])
    return Markup("<picture>\n{}{}</picture>").format(Markup("").join(sources), image)


def _draw(
    axes: Axes, panel: Panel, names: Mapping[System, str], colours: Mapping[str, str]
) -> None:
    """`names`: what stands beside each row, in its lines."""
    places, bottom = {}, 0.0
    for row, name in names.items():
        more = _LINE * name.count("\n")
        places[row] = bottom + more / 2 + _APART * row.control
        bottom += 1 + more
    end = _end(panel)
    for row, point in panel.points.items():
        place, score = places[row], point.value["score"]
        kind = "faint" if row.control else "mine" if row.mine else "ours"
        colour = row.colour or colours[kind]
        inside = colours["back"] if row.control else colour
        if end is not None and score > end:
            axes.plot(end, place, ">", color=colour, mfc=inside, ms=6)
            axes.annotate(f"{score:.3f}", (end, place), xytext=(-6, 0), color=colour,
                          textcoords="offset points", ha="right", va="center", size=9)  # fmt: skip
            continue
        below, above = around(point.value)
        axes.errorbar(score, place, xerr=[[below], [above]], fmt="s" if row.mine else "o",
                      color=colour, mfc=inside, ms=6, elinewidth=1.8, label=row.title)  # fmt: skip
        if len(point.seeds) > 1:
            axes.plot(point.seeds, [place - 0.3] * len(point.seeds), "o", color=colours["faint"],
                      ms=2.6, label=SEED)  # fmt: skip
        if point.paper is not None:
            axes.plot(point.paper, place + 0.1, "D", color=colours["paper"], ms=5, label=PAPER)
    axes.margins(x=0.08)
    if panel.constant is not None:
        axes.plot([panel.constant] * 2, [-0.65, bottom], color=colours["ink"], ls="--", lw=1.8,
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
    for row in [row for row in names if row.mine]:
        axes.axhspan(places[row] - 0.5, places[row] + 0.5, color=colours["band"], zorder=0)
        for label in axes.get_yticklabels()[[*names].index(row) :][:1]:  # none but at the left
            label.set(weight="bold", color=colours["mine"])
    axes.set_ylim(bottom, -1.5)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=9, labelbottom=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
