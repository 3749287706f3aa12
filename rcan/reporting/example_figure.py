"""Example studies side by side: images, reference, prediction, and where the words part ways."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from rcan.reporting.figures import BLUE, VERMILLION, save_figure, style
from rcan.reporting.layout import (
    LINE,
    MAX_WORDS,
    NOTHING,
    WORD_SIZE,
    Lines,
    Word,
    draw_image,
    draw_rule,
    draw_words,
    new_page,
    put,
    short,
    wrapped,
)

IMAGE, GAP, MARGIN = 1.75, 0.12, 0.25
COLUMN = 4.2
COLUMNS = (MARGIN + 2 * (IMAGE + GAP) + 0.15, MARGIN + 2 * (IMAGE + GAP) + COLUMN + 0.5)
WIDTH = COLUMNS[1] + COLUMN + MARGIN
TOP, HEADING, FOOT = 0.75, 0.42, 0.32  # above the first study; above and below a study's images
ONLY_REFERENCE = {"color": BLUE, "style": "normal"}
ONLY_PREDICTION = {"color": VERMILLION, "style": "italic"}


@dataclass(frozen=True)
class Panel:
    """One row of the figure; up to two `images`, (size, size) uint8, each with its caption."""

    heading: str
    images: Sequence[np.ndarray]
    captions: Sequence[str]
    reference: str
    prediction: str


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
        figure, axes = new_page(WIDTH, height)
        _draw_legend(axes)
        top = TOP
        for panel, pair, rise in zip(panels, columns, heights, strict=True):
            draw_rule(axes, MARGIN, WIDTH - MARGIN, top)
            put(axes, MARGIN, top + 0.1, panel.heading, weight="bold")
            for place, (image, caption) in enumerate(
                zip(panel.images, panel.captions, strict=True)
            ):
                left = MARGIN + place * (IMAGE + GAP)
                draw_image(axes, image, left, top + HEADING, IMAGE, caption)
            for left, lines in zip(COLUMNS, pair, strict=True):
                draw_words(axes, lines, left, top + HEADING)
            top += rise
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        save_figure(figure, out, dpi=110)


def _draw_legend(axes: Axes) -> None:
    for left, title, meaning, look in (
        (COLUMNS[0], "Reference", "not in the prediction", ONLY_REFERENCE),
        (COLUMNS[1], "Prediction", "not in the reference", ONLY_PREDICTION),
    ):
        put(axes, left, 0.18, title, weight="bold", size=12)
        put(axes, left, 0.45, meaning, size=WORD_SIZE, **look)


def _compared(panel: Panel) -> tuple[Lines, Lines]:
    """Reference and prediction as lines of placed words, those not shared in their own look."""
    reference, prediction = (
        text.split()[:MAX_WORDS] for text in (panel.reference, panel.prediction)
    )
    blocks = difflib.SequenceMatcher(None, reference, prediction, autojunk=False)
    in_reference, in_prediction = set(), set()
    for block in blocks.get_matching_blocks():
        in_reference |= set(range(block.a, block.a + block.size))
        in_prediction |= set(range(block.b, block.b + block.size))
    return (
        _marked(reference, in_reference, ONLY_REFERENCE),
        _marked(prediction, in_prediction, ONLY_PREDICTION),
    )


def _marked(words: Sequence[str], shared: set[int], look: Mapping[str, str]) -> Lines:
    marked = [Word(short(w), {} if i in shared else look) for i, w in enumerate(words)]
    return wrapped(marked or [Word(NOTHING, look)], COLUMN)
