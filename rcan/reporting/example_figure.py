"""Example studies side by side: images, reference, prediction, and where the words part ways.

Everything is placed in inches from the top left corner.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from rcan.reporting.figures import BLUE, FAINT, VERMILLION, new_figure, save_figure, style

POINTS = 72  # an inch
WORD_SIZE, LINE = 10.5, 0.21
IMAGE, GAP, MARGIN = 1.75, 0.12, 0.25
COLUMN = 4.2
COLUMNS = (MARGIN + 2 * (IMAGE + GAP) + 0.15, MARGIN + 2 * (IMAGE + GAP) + COLUMN + 0.5)
WIDTH = COLUMNS[1] + COLUMN + MARGIN
TOP, HEADING, FOOT = 0.75, 0.42, 0.32  # above the first study; above and below a study's images
MAX_LINES, MAX_LETTERS = 20, 30
MAX_WORDS = 600  # more than so many lines hold


@dataclass(frozen=True)
class Panel:
    """One row of the figure; up to two `images`, (size, size) uint8, each with its caption."""

    heading: str
    images: Sequence[np.ndarray]
    captions: Sequence[str]
    reference: str
    prediction: str


@dataclass(frozen=True)
class _Word:
    text: str
    shared: bool


_Lines = list[list[tuple[float, _Word]]]  # words, each with its distance from the left


def examples_figure(panels: Sequence[Panel], out: Path) -> None:
    """Draw the panels one above the other.

    Words that reference and prediction share, in order, are plain; what the prediction lacks is
    blue, and what it adds is vermillion and in italics.
    """
    with style():
        columns = [_compared(panel) for panel in panels]
        heights = [
            HEADING + FOOT + max(IMAGE, *(len(lines) * LINE for lines in pair)) for pair in columns
        ]
        height = TOP + sum(heights)
        figure = new_figure(WIDTH, height)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        _draw_legend(axes)
        top = TOP
        for panel, pair, rise in zip(panels, columns, heights, strict=True):
            axes.plot([MARGIN, WIDTH - MARGIN], [top, top], color="#D8D8D8", lw=0.8)
            _put(axes, MARGIN, top + 0.1, panel.heading, weight="bold")
            _draw_images(axes, panel, top + HEADING)
            for left, lines, colour, slant in zip(
                COLUMNS, pair, (BLUE, VERMILLION), ("normal", "italic"), strict=True
            ):
                _draw_words(axes, lines, left, top + HEADING, colour, slant)
            top += rise
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        save_figure(figure, out, dpi=110)


def _put(axes: Axes, x: float, y: float, text: str, **settings: Any) -> None:
    axes.text(x, y, text, va="top", parse_math=False, **settings)


def _draw_legend(axes: Axes) -> None:
    for left, title, meaning, colour, slant in (
        (COLUMNS[0], "Reference", "not in the prediction", BLUE, "normal"),
        (COLUMNS[1], "Prediction", "not in the reference", VERMILLION, "italic"),
    ):
        _put(axes, left, 0.18, title, weight="bold", size=12)
        _put(axes, left, 0.45, meaning, color=colour, style=slant, size=WORD_SIZE)


def _draw_images(axes: Axes, panel: Panel, top: float) -> None:
    for place, (image, caption) in enumerate(zip(panel.images, panel.captions, strict=True)):
        left = MARGIN + place * (IMAGE + GAP)
        axes.imshow(
            image,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=(left, left + IMAGE, top + IMAGE, top),
            aspect="auto",
            interpolation="antialiased",
        )
        _put(axes, left, top + IMAGE + 0.05, caption, color=FAINT, size=8)


def _draw_words(
    axes: Axes, lines: _Lines, left: float, top: float, colour: str, slant: str
) -> None:
    for number, line in enumerate(lines):
        for x, word in line:
            look = {} if word.shared else {"color": colour, "style": slant}
            _put(axes, left + x, top + number * LINE, word.text, size=WORD_SIZE, **look)


def _compared(panel: Panel) -> tuple[_Lines, _Lines]:
    """Reference and prediction as lines of placed words, each word marked as shared or not."""
    reference, prediction = (
        text.split()[:MAX_WORDS] for text in (panel.reference, panel.prediction)
    )
    blocks = difflib.SequenceMatcher(None, reference, prediction, autojunk=False)
    in_reference, in_prediction = set(), set()
    for block in blocks.get_matching_blocks():
        in_reference |= set(range(block.a, block.a + block.size))
        in_prediction |= set(range(block.b, block.b + block.size))
    return (
        _wrapped([_Word(_short(word), i in in_reference) for i, word in enumerate(reference)]),
        _wrapped([_Word(_short(word), i in in_prediction) for i, word in enumerate(prediction)]),
    )


def _short(word: str) -> str:
    """A word that fits into a column."""
    return word if len(word) <= MAX_LETTERS else f"{word[: MAX_LETTERS - 1]}…"


def _wrapped(words: list[_Word]) -> _Lines:
    """Words with their distance from the column's left edge, line by line."""
    space = _width(_Word("n", True)) * 0.55
    lines: _Lines = [[]]
    x = 0.0
    for word in words or [_Word("(nothing)", False)]:
        width = _width(word)
        if x and x + width > COLUMN:
            lines.append([])
            x = 0.0
        lines[-1].append((x, word))
        x += width + space
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], [(0.0, _Word("[cut]", True))]]
    return lines


def _width(word: _Word) -> float:
    font = FontProperties(
        family="DejaVu Sans", size=WORD_SIZE, style="normal" if word.shared else "italic"
    )
    return text_to_path.get_text_width_height_descent(word.text, font, ismath=False)[0] / POINTS
