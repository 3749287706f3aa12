"""Pages of images and words, placed in inches from the top left corner.

Words are measured one by one, so that each can have its own look and lines break where they must.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from rcan.reporting.figures import FAINT, new_figure

POINTS = 72  # an inch
WORD_SIZE, LINE = 10.5, 0.21
MAX_LINES, MAX_LETTERS = 20, 30
MAX_WORDS = 600  # more than so many lines hold
RULE = "#D8D8D8"


@dataclass(frozen=True)
class Word:
    """A word and how it looks, in matplotlib's terms; `mark` says more to whoever draws it.

    `glued`: it stays on the line of the word before it, though it may stick out a little.
    """

    text: str
    look: Mapping[str, Any] = field(default_factory=dict)
    mark: object = None
    glued: bool = False


Lines = list[list[tuple[float, Word]]]  # words, each with its distance from the left


def new_page(width: float, height: float) -> tuple[Figure, Axes]:
    """A page whose axes count in inches, y down."""
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def put(axes: Axes, x: float, y: float, text: str, **settings: Any) -> None:
    """Text whose top left corner is at x, y."""
    axes.text(x, y, text, **{"va": "top", "parse_math": False, **settings})


def draw_rule(axes: Axes, left: float, right: float, y: float) -> None:
    """A line across."""
    axes.plot([left, right], [y, y], color=RULE, lw=0.8)


def draw_image(
    axes: Axes, image: np.ndarray, left: float, top: float, side: float, caption: str = ""
) -> None:
    """A grey image, (size, size) uint8, with a small caption below."""
    axes.imshow(
        image,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(left, left + side, top + side, top),
        aspect="auto",
        interpolation="antialiased",
    )
    put(axes, left, top + side + 0.05, caption, color=FAINT, size=8)


def draw_words(axes: Axes, lines: Lines, left: float, top: float, size: float = WORD_SIZE) -> None:
    """Lines of words, each in its own look."""
    for number, line in enumerate(lines):
        for x, word in line:
            y = top + number * LINE * size / WORD_SIZE
            put(axes, left + x, y, word.text, **{"size": size, **word.look})


def wrapped(words: Sequence[Word], column: float, size: float = WORD_SIZE) -> Lines:
    """Words with their distance from the column's left edge, line by line."""
    space = width_of(Word("n"), size) * 0.55
    lines: Lines = [[]]
    x = 0.0
    for word in words:
        width = width_of(word, size)
        if x and x + width > column and not word.glued:
            lines.append([])
            x = 0.0
        lines[-1].append((x, word))
        x += width + space
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], [(0.0, Word("[cut]"))]]
    return lines


def short(word: str, most: int = MAX_LETTERS) -> str:
    """A word that fits into a column, of at most so many letters."""
    return word if len(word) <= most else f"{word[: most - 1]}…"


def width_of(word: Word, size: float = WORD_SIZE) -> float:
    """Inches."""
    font = FontProperties(
        family="DejaVu Sans",
        size=word.look.get("size", size),
        style=word.look.get("style", "normal"),
        weight=word.look.get("weight", "normal"),
    )
    width: float = text_to_path.get_text_width_height_descent(word.text, font, ismath=False)[0]
    return width / POINTS
