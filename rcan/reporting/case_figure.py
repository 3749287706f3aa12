"""Fig. 6 of the paper: whole reports side by side, a finding in one colour wherever it stands.

What is wrong is told by its frame and a sign, not by a colour; a number says which finding it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from rcan.reporting.figures import FAINT, INK, save_both, style
from rcan.reporting.layout import (
    LINE,
    MAX_WORDS,
    WORD_SIZE,
    Lines,
    Word,
    draw_image,
    draw_rule,
    draw_words,
    new_page,
    put,
    short,
    width_of,
    wrapped,
)
from rcan.reporting.templates import NOTHING

IMAGE, GAP, MARGIN, COLUMN, BETWEEN = 1.15, 0.27, 0.25, 2.85, 0.42
TOP, HEADING, FOOT = 1.2, 0.75, 0.25
LETTERS = 22  # of a word, which fit into a column
LEAST_WIDTH = 10.0  # for title and legend
COLOURS = (  # Okabe and Ito's
    "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00", "#999999",
)  # fmt: skip
SIGN = {"right": "", "other": "≠", "wrong": "✗"}

Verdict = Literal["right", "other", "wrong"]


@dataclass(frozen=True)
class Marked:
    """Words [start, end) that say finding number `number` (from 0) is there, and whether it is.

    `other`: it is there, with another side, size or place.
    """

    start: int
    end: int
    number: int
    verdict: Verdict = "right"


@dataclass(frozen=True)
class Text:
    """One report of a case: its words, what is marked in them, and a line below."""

    words: Sequence[str]
    marked: Sequence[Marked]
    below: str = ""


@dataclass(frozen=True)
class Case:
    """A study: `findings` that are marked anywhere in it, and a text for each column."""

    heading: str
    images: Sequence[np.ndarray]
    captions: Sequence[str]
    findings: Sequence[str]
    texts: Sequence[Text]


def cases_figure(cases: Sequence[Case], columns: Sequence[str], title: str, out: Path) -> None:
    """Draw the cases one above the other, as `out` (PNG) and beside it as SVG."""
    first = MARGIN + IMAGE + BETWEEN
    lefts = [first + number * (COLUMN + BETWEEN) for number in range(len(columns))]
    width = max(lefts[-1] + COLUMN + MARGIN + 0.1, LEAST_WIDTH)
    with style():
        placed = [[_lines(text) for text in case.texts] for case in cases]
        heights = [
            HEADING + FOOT + max(len(case.images) * (IMAGE + GAP), *(len(x) * LINE for x in texts))
            for case, texts in zip(cases, placed, strict=True)
        ]
        height = TOP + sum(heights)
        figure, axes = new_page(width, height)
        put(axes, MARGIN, 0.16, title, weight="bold", size=11.5)
        _draw_legend(axes, MARGIN, 0.5)
        for left, name in zip(lefts, columns, strict=True):
            put(axes, left, TOP - 0.3, name, weight="bold", size=12)
        top = TOP
        for case, texts, rise in zip(cases, placed, heights, strict=True):
            draw_rule(axes, MARGIN, width - MARGIN, top)
            put(axes, MARGIN, top + 0.1, case.heading, weight="bold")
            _draw_findings(axes, case.findings, top + 0.38)
            for number, (image, caption) in enumerate(zip(case.images, case.captions, strict=True)):
                y = top + HEADING + number * (IMAGE + GAP)
                draw_image(axes, image, MARGIN, y, IMAGE, caption)
            for left, lines in zip(lefts, texts, strict=True):
                _draw_frames(axes, lines, left, top + HEADING)
                draw_words(axes, lines, left, top + HEADING)
            top += rise
        axes.set(xlim=(0, width), ylim=(height, 0))
        save_both(figure, out, dpi=110)


def tint(number: int) -> tuple[float, ...]:
    """The light colour of a case's finding: dark words can be read on it."""
    r, g, b = to_rgb(COLOURS[number % len(COLOURS)])
    return tuple(0.45 * value + 0.55 for value in (r, g, b))


def _lines(text: Text) -> Lines:
    """The report's words, each mention with its number at the end, and the line below."""
    words: list[Word] = []
    for number, word in enumerate(text.words[:MAX_WORDS]):
        inside = next((m for m in text.marked if m.start <= number < m.end), None)
        words.append(Word(short(word, LETTERS), mark=inside, glued=word == "."))
        for mention in text.marked:
            if number == mention.end - 1:
                tag = f"{mention.number + 1}{SIGN[mention.verdict]}"
                words.append(
                    Word(tag, {"weight": "bold", "size": 8}, inside or mention, glued=True)
                )
    lines = wrapped(words or [Word(NOTHING, {"color": FAINT})], COLUMN)
    below = [Word(short(word, LETTERS), {"color": FAINT}) for word in text.below.split()]
    return [*lines, [], *wrapped(below, COLUMN)] if below else lines


def _draw_frames(axes: Axes, lines: Lines, left: float, top: float) -> None:
    """A box behind each line's share of a mention: filled where right, dashed where not."""
    for row, line in enumerate(lines):
        mentions = {id(word.mark): word.mark for _, word in line if word.mark}
        for mention in mentions.values():
            if isinstance(mention, Marked):
                ours = [(x, word) for x, word in line if word.mark is mention]
                end = ours[-1][0] + width_of(ours[-1][1])
                _frame(axes, mention, left + ours[0][0], left + end, top + row * LINE)


def _frame(axes: Axes, mention: Marked, left: float, right: float, top: float) -> None:
    colour = COLOURS[mention.number % len(COLOURS)]
    look: dict[str, Any] = {"facecolor": tint(mention.number), "edgecolor": "none"}
    if mention.verdict != "right":
        look = {"facecolor": "none", "edgecolor": _darker(colour), "ls": (0, (3, 2)), "lw": 1.3}
    axes.add_patch(Rectangle((left - 0.025, top - 0.025), right - left + 0.05, 0.19, **look))


def _darker(colour: str) -> tuple[float, ...]:
    return tuple(0.7 * value for value in to_rgb(colour))


def _draw_legend(axes: Axes, left: float, top: float) -> None:
    kinds: Mapping[Verdict, str] = {
        "right": "it is there",
        "other": "it is there, but with another side, size or place",
        "wrong": "it is not there",
    }
    put(axes, left, top, "A finding that a report names:", size=9)
    left += width_of(Word("A finding that a report names:"), 9) + 0.2
    for verdict, meaning in kinds.items():
        words = f"finding {SIGN[verdict]}".strip()
        end = left + width_of(Word(words), WORD_SIZE)
        _frame(axes, Marked(0, 1, 1, verdict), left, end, top)
        put(axes, left, top, words, size=WORD_SIZE)
        put(axes, end + 0.12, top, meaning, size=9)
        left = end + 0.12 + width_of(Word(meaning), 9) + 0.35


def _draw_findings(axes: Axes, findings: Sequence[str], top: float) -> None:
    """Which number and colour each finding of a case has."""
    left = MARGIN
    for number, finding in enumerate(findings):
        words = f"{number + 1} {finding}"
        end = left + width_of(Word(words), 9)
        axes.add_patch(
            Rectangle((left - 0.03, top - 0.03), end - left + 0.06, 0.2, facecolor=tint(number))
        )
        put(axes, left, top, words, size=9, color=INK)
        left = end + 0.2
