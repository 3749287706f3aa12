"""Example studies, chosen by rule: from the best prediction to the worst in even steps of rank.

They are drawn side by side, images, reference, prediction, and where the words part ways. They show
images and report text, so they are kept in a folder of their own that git ignores.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from rcan.data.store import Split
from rcan.errors import UserError
from rcan.files import replacing, write_csv, write_text
from rcan.reporting.figures import BLUE, VERMILLION, save_figure, style
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
    wrapped,
)
from rcan.reporting.templates import NOTHING, markdown_page

NUM_EXAMPLES = 6
NUM_VIEWS = 2
IMAGE, GAP, MARGIN = 1.75, 0.12, 0.25
COLUMN = 4.2
COLUMNS = (MARGIN + 2 * (IMAGE + GAP) + 0.15, MARGIN + 2 * (IMAGE + GAP) + COLUMN + 0.5)
WIDTH = COLUMNS[1] + COLUMN + MARGIN
TOP, HEADING, FOOT = 0.75, 0.42, 0.32  # above the first study; above and below a study's images
ONLY_REFERENCE = {"color": BLUE, "style": "normal"}
ONLY_PREDICTION = {"color": VERMILLION, "style": "italic"}


@dataclass(frozen=True)
class Example:
    """One study with what was written for it; each image (size, size) uint8 with its caption.

    `rank` counts from 1, the best BLEU-4, to `of`.
    """

    heading: str
    images: Sequence[np.ndarray]
    captions: Sequence[str]
    reference: str
    prediction: str
    id: str = ""
    rank: int = 0
    of: int = 0
    bleu_4: float = 0.0


def even_ranks(number: int, of: int) -> list[int]:
    """`number` of the ranks 0 to of - 1, the first and the last among them, in even steps."""
    return [int(rank) for rank in np.linspace(0, of - 1, min(number, of)).round()]


def choose_examples(predictions: Sequence[Mapping[str, str]], split: Split) -> list[Example]:
    """NUM_EXAMPLES rows of predictions.csv by rank of their own BLEU-4, in even steps.

    Raises:
        UserError: the predictions are of other studies than `split`'s.
    """
    rows = sorted(predictions, key=lambda row: (-float(row["BLEU-4"]), row["id"]))
    studies = {study.id: study for study in split.studies}
    strange = {row["id"] for row in rows} ^ studies.keys()
    if strange or len(rows) != len(studies):
        which = f"{min(strange)} is not in both" if strange else "one has two"
        raise UserError(
            f"predictions.csv: expected one prediction for each study of the processed {split.name}"
            f" split; study {which}; run `dvc repro evaluate`"
        )
    examples = []
    for rank in even_ranks(NUM_EXAMPLES, len(rows)):
        row, bleu_4 = rows[rank], float(rows[rank]["BLEU-4"])
        views = studies[row["id"]].views[:NUM_VIEWS]
        examples.append(
            Example(
                heading=f"{rank + 1} of {len(rows)} · BLEU-4 {bleu_4:.3f} · {row['id']}",
                images=[np.array(split.images[view.row]) for view in views],
                captions=[view.projection or "view" for view in views],
                reference=row["reference"],
                prediction=row["prediction"],
                id=row["id"],
                rank=rank + 1,
                of=len(rows),
                bleu_4=bleu_4,
            )
        )
    return examples


def write_examples(
    examples: Sequence[Example], *, data_name: str, floors: Mapping[str, str], out: Path
) -> None:
    """Write examples.md, examples.csv, examples.png and one PNG a view into `out`.

    `floors` are the constant reports, `most_frequent` and `best_constant`.
    """
    _remove_images(out)
    views = [
        [f"study{number}_view{view}.png" for view in range(1, len(example.images) + 1)]
        for number, example in enumerate(examples, start=1)
    ]
    for names, example in zip(views, examples, strict=True):
        for name, image in zip(names, example.images, strict=True):
            with replacing(out / name) as beside:
                Image.fromarray(image).save(beside, format="PNG")
    examples_figure(examples, out / "examples.png")
    page = markdown_page(
        "examples", data_name=data_name, floors=floors, examples=examples, views=views
    )
    write_text(out / "examples.md", page)
    columns = ("rank", "id", "bleu_4", "reference", "prediction")
    rows = [{column: getattr(example, column) for column in columns} for example in examples]
    write_csv(out / "examples.csv", rows)


def withhold_examples(out: Path) -> None:
    """Say in `out`/examples.md why there are no examples, and remove those of an earlier run."""
    _remove_images(out)
    for name in ("examples.png", "examples.csv"):
        (out / name).unlink(missing_ok=True)
    write_text(
        out / "examples.md",
        "The data set is restricted: no report and no image of it is shown here. Predictions and "
        "references are in predictions.csv of the evaluation; `privacy.restricted` in params.yaml "
        "decides.\n",
    )


def _remove_images(out: Path) -> None:
    for stale in out.glob("study*_view*.png"):
        stale.unlink()


def examples_figure(examples: Sequence[Example], out: Path) -> None:
    """Draw the examples one above the other, up to two images each.

    Words that reference and prediction share, in order, are plain; what the prediction lacks is
    blue, and what it adds is vermillion and in italics.
    """
    with style():
        columns = [_compared(example) for example in examples]
        heights = [
            HEADING + FOOT + max(IMAGE, *(len(lines) * LINE for lines in pair)) for pair in columns
        ]
        height = TOP + sum(heights)
        figure, axes = new_page(WIDTH, height)
        _draw_legend(axes)
        top = TOP
        for example, pair, rise in zip(examples, columns, heights, strict=True):
            draw_rule(axes, MARGIN, WIDTH - MARGIN, top)
            put(axes, MARGIN, top + 0.1, example.heading, weight="bold")
            views = zip(example.images, example.captions, strict=True)
            for place, (image, caption) in enumerate(views):
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


def _compared(example: Example) -> tuple[Lines, Lines]:
    """Reference and prediction as lines of placed words, those not shared in their own look."""
    reference, prediction = (
        text.split()[:MAX_WORDS] for text in (example.reference, example.prediction)
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
