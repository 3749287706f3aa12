"""Fig. 4 of the paper: where models look in the picture while they write the same finding.

Colours go from transparent over yellow to dark red, in one direction of lightness: they can be told
apart without seeing hues, and the X-ray stays visible beneath.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from rcan.reporting.figures import FAINT, save_both, style
from rcan.reporting.layout import (
    Lines,
    Word,
    draw_image,
    draw_rule,
    draw_words,
    new_page,
    put,
    width_of,
    wrapped,
)

SIDE, BETWEEN, GAP, MARGIN = 1.15, 0.05, 0.28, 0.25
TOP, HEADING, CAPTION = 1.5, 0.42, 0.62
SMALL = 8.5
LEAST_WIDTH = 9.0  # for title and legend
MOST = 4.0  # times an even share, at which the colour is full
HEAT = LinearSegmentedColormap.from_list(
    "heat",
    [(0, (1, 0.9, 0.3, 0)), (0.25, (1, 0.85, 0.25, 0.3)), (0.6, (0.95, 0.4, 0.05, 0.6)),
     (1, (0.65, 0, 0.1, 0.8))],
)  # fmt: skip
OUTLINE = "#56B4E9"
METHOD = (
    "Cross-attention of the decoder's last layer, mean over heads, for the word in bold; "
    "a patch sees more than its square"
)


@dataclass(frozen=True)
class Map:
    """What one model looked at for word number `word` of `words`: `times_even` (I, size, size), NaN
    where it cannot look."""

    times_even: np.ndarray
    words: Sequence[str]
    word: int
    note: str


@dataclass(frozen=True)
class Strip:
    """One kind of word of one finding: a map a model, in the order of the figure's columns; None
    for a model that does not write it."""

    what: str
    maps: Sequence[Map | None]


@dataclass(frozen=True)
class Row:
    """One finding of one study; `regions` (I, size, size) bool where it is known where it is."""

    heading: str
    images: Sequence[np.ndarray]
    captions: Sequence[str]
    regions: np.ndarray | None
    strips: Sequence[Strip]


def attention_figure(rows: Sequence[Row], models: Sequence[str], title: str, out: Path) -> None:
    """Draw the rows one above the other, as `out` (PNG) and beside it as SVG."""
    views = max(len(row.images) for row in rows)
    block = views * SIDE + (views - 1) * BETWEEN
    lefts = [MARGIN + column * (block + GAP) for column in range(len(models) + 1)]
    width = max(lefts[-1] + block + MARGIN, LEAST_WIDTH)
    strip_height = SIDE + CAPTION
    height = TOP + sum(HEADING + strip_height * len(row.strips) for row in rows)
    with style():
        figure, axes = new_page(width, height)
        put(axes, MARGIN, 0.16, title, weight="bold", size=11)
        put(axes, MARGIN, 0.42, METHOD, size=SMALL, color=FAINT)
        _draw_scale(axes, MARGIN, 0.72, any(row.regions is not None for row in rows))
        for left, name in zip(lefts, ["Image", *models], strict=True):
            put(axes, left, TOP - 0.28, name, weight="bold")
        top = TOP
        for row in rows:
            draw_rule(axes, MARGIN, width - MARGIN, top)
            put(axes, MARGIN, top + 0.1, row.heading, weight="bold", size=SMALL + 1)
            top += HEADING
            for strip in row.strips:
                _draw_strip(axes, row, strip, lefts, top, block)
                top += strip_height
        axes.set(xlim=(0, width), ylim=(height, 0))
        save_both(figure, out, dpi=130)


def _draw_scale(axes: Axes, left: float, top: float, with_regions: bool) -> None:
    across, high = 1.6, 0.14
    put(axes, left, top, "attention, times an even share:", size=SMALL)
    left += width_of(Word("attention, times an even share:"), SMALL) + 0.25
    ramp = HEAT(np.linspace(0, 1, 128))[None]
    grey = np.full((1, 128), 110, np.uint8)
    place = (left, left + across, top + high, top)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto")
    axes.imshow(ramp, extent=place, aspect="auto")
    for value in (0, 1, 2, 3, 4):
        label = f"{value}+" if value == MOST else str(value)
        put(axes, left + across * value / MOST, top + high + 0.03, label, size=7, ha="center")
    if with_regions:
        left += across + 0.4
        axes.plot([left, left + 0.35], [top + 0.07] * 2, color="#111111", lw=2.4)
        axes.plot([left, left + 0.35], [top + 0.07] * 2, color=OUTLINE, lw=1.2, ls=(0, (3, 1.5)))
        put(axes, left + 0.45, top, "where the finding shows", size=SMALL)


def _draw_strip(
    axes: Axes, row: Row, strip: Strip, lefts: Sequence[float], top: float, block: float
) -> None:
    for view, (image, caption) in enumerate(zip(row.images, row.captions, strict=True)):
        left = lefts[0] + view * (SIDE + BETWEEN)
        draw_image(axes, image, left, top, SIDE, caption)
        _draw_outline(axes, row, view, left, top)
    put(axes, lefts[0], top + SIDE + 0.22, strip.what, size=SMALL)
    for left, one in zip(lefts[1:], strip.maps, strict=True):
        for view, image in enumerate(row.images):
            at = left + view * (SIDE + BETWEEN)
            draw_image(axes, image, at, top, SIDE)
            if one:
                axes.imshow(
                    HEAT(np.nan_to_num(one.times_even[view]) / MOST),
                    extent=(at, at + SIDE, top + SIDE, top),
                    aspect="auto",
                    interpolation="antialiased",
                )
                _draw_outline(axes, row, view, at, top)
        if one:
            draw_words(axes, _in_context(one, block), left, top + SIDE + 0.05, SMALL)
            put(axes, left, top + SIDE + 0.24, one.note, size=SMALL - 0.5, color=FAINT)
        else:
            look = {"size": SMALL, "color": FAINT, "style": "italic"}
            put(axes, left, top + SIDE + 0.05, "no such word", **look)


def _draw_outline(axes: Axes, row: Row, view: int, left: float, top: float) -> None:
    if row.regions is None or not row.regions[view].any():
        return
    size = row.regions.shape[-1]
    centres = (np.arange(size) + 0.5) / size * SIDE
    for colour, line, dashes in (("#111111", 1.8, "solid"), (OUTLINE, 0.9, (0, (3, 1.5)))):
        axes.contour(
            left + centres, top + centres, row.regions[view].astype(float), levels=[0.5],
            colors=[colour], linewidths=line, linestyles=[dashes],
        )  # fmt: skip


def _in_context(one: Map, width: float) -> Lines:
    """The word in bold among as many of its neighbours as fit on one line."""
    first, last = one.word, one.word + 1
    line = _line(one, first, last)
    for after, before in [(1, 0), (0, 1)] * len(one.words):
        wider = max(0, first - before), min(len(one.words), last + after)
        longer = _line(one, *wider)
        x, word = longer[0][-1]
        if x + width_of(word, SMALL) > width:
            break
        (first, last), line = wider, longer
    return line


def _line(one: Map, first: int, last: int) -> Lines:
    words = [
        Word(word, {"weight": "bold"} if number == one.word else {})
        for number, word in enumerate(one.words[first:last], start=first)
    ]
    before, after = [Word("…")] * (first > 0), [Word("…")] * (last < len(one.words))
    return wrapped([*before, *words, *after], 99, SMALL)
