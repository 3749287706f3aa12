"""Figures of panels that share their rows, for a page of any width and for a wide one.

A dot is a system's mean over its seeds, its bar a 95 % interval over studies.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill, wrap
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rcan.reporting.figures import (
    BLUE,
    GREEN,
    INK,
    around,
    as_address,
    drawn,
    new_figure,
    style,
)
from rcan.reporting.panels import CONSTANT, FALL, YOURS, Panel, System

# What a file's name ends in -> whether the panels stand in one row, for a wide page; the look.
VERSIONS = {
    "": (False, "light"), "-dark": (False, "dark"),
    "-wide": (True, "light"), "-wide-dark": (True, "dark"),
}  # fmt: skip
SEED, PAPER = "each seed", "the paper's value"
_SYSTEM = "a system"
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
              "paper": GREEN, "mine": "#8A2B7C", "band": "#F5E8F3"},
    "dark": {"back": "#14181B", "ink": "#E6EAED", "faint": "#A3ADB5", "line": "#343C42",
             "ours": "#7CC0F0", "paper": "#74D3AE", "mine": "#E79BDB", "band": "#3A2337"},
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
    known = dict.fromkeys(row for panel in panels for row in panel.points)
    rows = sorted(known, key=lambda row: row.control)
    across = len(panels) if wide else 2
    deep = -(-len(panels) // across)
    beside, letters = _NAMES[wide]
    with style(), mpl.rc_context(paint):
        names = {row: _in_lines(row, letters) for row in rows}
        lines = len(rows) + _LINE * sum(name.count("\n") for name in names.values())
        width = beside + across * _PANEL[wide]
        figure = new_figure(width, deep * (_ROUND + _ROW * (lines + 1)) + 0.8)
        if scope:
            title = fill(scope, round(12 * width))
            figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
        grid = figure.subplots(deep, across, sharex=one_axis, sharey=True, squeeze=False)
        ends = [_end(panels)] * len(panels) if one_axis else [_end([panel]) for panel in panels]
        marks: dict[str, Any] = {}
        for axes, panel, end in zip(grid.flat, panels, ends, strict=False):
            marks = {**_draw(axes, panel, names, colours, end), **marks}
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        told = [name for name in (_SYSTEM, YOURS, CONSTANT, SEED, PAPER) if name in marks]
        shown = {_SYSTEM: _MEAN if SEED in marks else _ALONE}
        figure.legend([marks[name] for name in told], [shown.get(name, name) for name in told],
                      loc="outside lower left", ncols=len(told) if wide else 2)  # fmt: skip
    return figure


def _in_lines(row: System, letters: int) -> str:
    """What stands beside a row, in three lines at most; the reader's own is bold, so wider."""
    lines = wrap(row.title, round(letters * 0.85) if row.mine else letters) or [row.title]
    return "\n".join(lines[:3]) + ("…" if len(lines) > 3 else "")


def _end(panels: Sequence[Panel]) -> float | None:
    """Where the axis ends, if a control lies so far up that the systems would be one heap."""
    ends = [panel.constant for panel in panels if panel.constant is not None]
    controls = []
    for panel in panels:
        for row, point in panel.points.items():
            score, (below, above) = point.value["score"], around(point.value)
            if row.control:
                controls.append(score)
            else:
                ends += [score - below, score + above]
    if not ends or not controls or min(ends) == max(ends):
        return None
    far = min(ends) + _FAR * (max(ends) - min(ends))
    return far if max(controls) > far else None


def told_of(panels: Sequence[Panel], *, one_axis: bool = False) -> str:
    """What a caption says of the marks that are drawn."""
    rows = [row for panel in panels for row in panel.points]
    ends = [_end(panels)] if one_axis else [_end([panel]) for panel in panels]
    sentences = {
        "Your row is marked.": any(row.mine for row in rows),
        "A hollow dot is a control.": any(row.control for row in rows),
        f"The dashed line is {CONSTANT} for every study; it sees no image.": any(
            panel.constant is not None for panel in panels
        ),
        "Fall: what BLEU-4 loses when each study is given another one's images.": any(
            panel.title == FALL for panel in panels
        ),
        "An arrow points to a control beyond the axis.": any(end is not None for end in ends),
    }
    return " ".join(sentence for sentence, holds in sentences.items() if holds)


def addresses(panels: Sequence[Panel]) -> dict[str, str]:
    """All `VERSIONS` of a figure, for a page that stands alone."""
    with style():
        return {
            version: as_address(drawn(draw_panels("", panels, version), "svg"), "svg+xml")
            for version in VERSIONS
        }


def picture_html(files: Mapping[str, str], name: str, alt: str) -> Markup:
    """A figure's `VERSIONS` as HTML that shows the one which the reader's screen asks for.

    `files`: `name` and what it ends in -> address.
    """
    dark = "(prefers-color-scheme: dark)"
    sources = [
        Markup('<source media="{}" srcset="{}">\n').format(media, files[name + version])
        for media, version in (
            (f"{_WIDE} and {dark}", "-wide-dark"), (_WIDE, "-wide"), (dark, "-dark")
        )
    ]  # fmt: skip
    image = Markup('<img alt="{}." src="{}">').format(alt, files[name])
    return Markup("<picture>\n{}{}</picture>").format(Markup("").join(sources), image)


def _draw(
    axes: Axes, panel: Panel, names: Mapping[System, str], colours: Mapping[str, str],
    end: float | None,
) -> dict[str, Any]:  # fmt: skip
    """`names`: what stands beside each row, in its lines; `end`: what lies beyond is an arrow.

    Returns:
        The marks to be explained by a legend.
    """
    marks: dict[str, Any] = {}
    places, bottom = {}, 0.0
    for row, name in names.items():
        more = _LINE * name.count("\n")
        places[row] = bottom + more / 2 + _APART * row.control
        bottom += 1 + more
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
        dot, _, (bar,) = axes.errorbar(
            score, place, xerr=[[below], [above]], fmt="s" if row.mine else "o", color=colour,
            mfc=inside, ms=6, elinewidth=1.8,
        ).lines  # fmt: skip
        if row.mine or not row.control:
            marks.setdefault(YOURS if row.mine else _SYSTEM, (bar, dot))
        if len(point.seeds) > 1:
            [marks[SEED]] = axes.plot(point.seeds, [place - 0.3] * len(point.seeds), "o",
                                      color=colours["faint"], ms=2.6, label=SEED)  # fmt: skip
        if point.paper is not None:
            [marks[PAPER]] = axes.plot(point.paper, place + 0.1, "D", color=colours["paper"], ms=5,
                                       label=PAPER)  # fmt: skip
    axes.margins(x=0.08)
    if panel.constant is not None:
        [marks[CONSTANT]] = axes.plot([panel.constant] * 2, [-0.65, bottom], color=colours["ink"],
                                      ls="--", lw=1.8, label=CONSTANT, zorder=1.5)  # fmt: skip
        low, high = axes.get_xlim()
        left = 0.02 + (1 - _NAME) * (panel.constant - low) / (high - low)
        axes.text(left, -0.75, f"constant report {panel.constant:.3f}", weight="bold", size=9,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_title(panel.title, weight="bold", size=10, pad=18)
    axes.annotate(panel.above, (0, 1), xytext=(0, 5), xycoords="axes fraction",
                  textcoords="offset points", color=colours["faint"], size=9)  # fmt: skip
    axes.set_xlabel(panel.unit, size=9, color=colours["faint"])
    axes.set_yticks(list(places.values()), [*names.values()])
    for row, place in places.items():
        if row.mine:
            axes.axhspan(place - 0.5, place + 0.5, color=colours["band"], zorder=0)
    for row, label in zip(names, axes.get_yticklabels(), strict=False):  # none but at the left
        if row.mine:
            label.set(weight="bold", color=colours["mine"])
    axes.set_ylim(bottom, -1.5)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=9, labelbottom=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    return marks
