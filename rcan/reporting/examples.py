"""Example studies, chosen by rule: from the best prediction to the worst in even steps of rank.

They show images and report text, so they are kept in a folder of their own that git ignores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rcan.data.store import Split
from rcan.errors import UserError
from rcan.files import replacing, write_csv, write_text
from rcan.reporting.example_figure import Panel, examples_figure

NUM_EXAMPLES = 6
NUM_VIEWS = 2


@dataclass(frozen=True)
class Example:
    """One study with what was written for it; `rank` counts from 1, the best BLEU-4."""

    id: str
    rank: int
    of: int
    bleu_4: float
    reference: str
    prediction: str
    images: tuple[np.ndarray, ...]  # each (size, size) uint8
    projections: tuple[str, ...]


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
    ranks = np.linspace(0, len(rows) - 1, min(NUM_EXAMPLES, len(rows))).round().astype(int)
    examples = []
    for rank in ranks:
        row = rows[rank]
        views = studies[row["id"]].views[:NUM_VIEWS]
        examples.append(
            Example(
                id=row["id"],
                rank=int(rank) + 1,
                of=len(rows),
                bleu_4=float(row["BLEU-4"]),
                reference=row["reference"],
                prediction=row["prediction"],
                images=tuple(np.array(split.images[view.row]) for view in views),
                projections=tuple(view.projection or "view" for view in views),
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
    text = [
        f"# Example studies: {data_name}\n",
        f"{len(examples)} of {examples[0].of} test studies, ordered by the BLEU-4 of each (strict "
        "protocol) and taken in even steps of rank from the best to the worst: nobody picked "
        "them.\n",
        "![The studies side by side](examples.png)\n",
    ]
    for number, example in enumerate(examples, start=1):
        names = [f"study{number}_view{i}.png" for i in range(1, len(example.images) + 1)]
        for name, image in zip(names, example.images, strict=True):
            _save_image(image, out / name)
        views = zip(example.projections, names, strict=True)
        text += [
            f"## {heading(example)}\n",
            " ".join(f"![{projection}]({name})" for projection, name in views) + "\n",
            f"- **Reference:** {_escaped(example.reference)}",
            f"- **Prediction:** {_escaped(example.prediction)}\n",
        ]
    text += [
        "## The constant reports\n",
        f"- **Best constant:** {_escaped(floors['best_constant'])}",
        f"- **Most frequent in train:** {_escaped(floors['most_frequent'])}\n",
    ]
    panels = [
        Panel(heading(e), e.images, e.projections, e.reference, e.prediction) for e in examples
    ]
    examples_figure(panels, out / "examples.png")
    write_text(out / "examples.md", "\n".join(text))
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


def heading(example: Example) -> str:
    """Which study it is and how well it went: `2 of 200 · BLEU-4 0.412 · CXR17`."""
    return f"{example.rank} of {example.of} · BLEU-4 {example.bleu_4:.3f} · {example.id}"


def _escaped(text: str) -> str:
    """Words of a report that Markdown would swallow or style, e.g. `<unk>`."""
    for mark in "\\`*_<#|[":
        text = text.replace(mark, f"\\{mark}")
    return text.strip() or "(nothing)"


def _save_image(image: np.ndarray, path: Path) -> None:
    with replacing(path) as beside:
        Image.fromarray(image).save(beside, format="PNG")
