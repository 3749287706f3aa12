"""Reading processed data: one split's studies and its images, both mapped from disk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from rcan.data.study import SPLITS, Study, View
from rcan.errors import UserError

_REMEDY = "run `dvc repro preprocess`"


class Split:
    """The studies of one split and their images, (num_images, size, size) uint8, read on demand."""

    def __init__(self, name: str, studies: Sequence[Study], images: np.memmap):
        self.name = name
        self.studies = studies
        self.images = images

    def view_rows(self, num_views: int) -> np.ndarray:
        """Rows of `images` for each study, (N, num_views) int64.

        A study with more views gives its first ones; one with fewer repeats its last.
        """
        rows = np.empty((len(self.studies), num_views), dtype=np.int64)
        for study, row in zip(self.studies, rows, strict=True):
            views = study.views[:num_views]
            row[:] = views[-1].row
            row[: len(views)] = [view.row for view in views]
        return rows


class Studies(Sequence[Study]):
    """The studies of a file with one a line, each read when it is asked for: memory holds none."""

    def __init__(self, path: Path, split: str):
        self._split = split
        self._file = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        self._ends = np.flatnonzero(self._file == ord("\n")) + 1
        if len(self) and self._ends[-1] != len(self._file):
            raise ValueError("its last line is cut short")

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Study: ...

    @overload
    def __getitem__(self, index: slice) -> list[Study]: ...

    def __getitem__(self, index: int | slice) -> Study | list[Study]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        number = range(len(self))[index]
        first = self._ends[number - 1] if number else 0
        line = self._file[first : self._ends[number]].tobytes()
        return _study_from(json.loads(line), self._split)


def open_split(folder: Path, name: str) -> Split:
    """Open one split of `folder`, and only that one; texts and pixels stay on disk until used.

    Raises UserError when its files are missing, damaged or do not belong together.
    """
    if name not in SPLITS:
        raise UserError(f"expected a split of {', '.join(SPLITS)}, got {name!r}")
    images = _map_images(folder / f"{name}.npy")
    studies = _map_studies(folder / f"{name}.jsonl", name, num_images=len(images))
    return Split(name, studies, images)


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of processed data: counts, problems, rules, file digests and one `digest`.

    Raises UserError when it is missing or damaged.
    """
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected the summary of data ({error}); {_REMEDY}") from error
    if not isinstance(summary, dict) or "digest" not in summary:
        raise UserError(f"{path}: expected a summary with a digest, found none; {_REMEDY}")
    return summary


def _map_images(path: Path) -> np.memmap:
    try:
        images: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: expected packed images ({error}); {_REMEDY}") from error
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise UserError(
            f"{path}: expected uint8 images (N, size, size), "
            f"found {images.dtype} {images.shape}; {_REMEDY}"
        )
    return images


def _map_studies(path: Path, split: str, *, num_images: int) -> Studies:
    try:
        studies = Studies(path, split)
    except (OSError, ValueError) as error:  # ValueError: also an empty file
        raise UserError(f"{path}: expected studies ({error}); {_REMEDY}") from error
    if not studies:
        raise UserError(f"{path}: expected at least one study, found none; {_REMEDY}")
    for number in range(len(studies)):
        place = f"{path}, line {number + 1}"
        try:
            views = studies[number].views
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{place}: expected one study ({type(error).__name__}: {error}); {_REMEDY}"
            ) from error
        if not views or not all(0 <= view.row < num_images for view in views):
            raise UserError(
                f"{place}: expected views among the {num_images} images of {split}.npy, "
                f"found others; {_REMEDY}"
            )
    return studies


def _study_from(record: dict[str, Any], split: str) -> Study:
    return Study(
        id=record["id"],
        split=split,
        report=record["report"],
        text=record["text"],
        views=tuple(View(view["row"], view["projection"]) for view in record["views"]),
        labels=None if record["labels"] is None else tuple(record["labels"]),
    )
