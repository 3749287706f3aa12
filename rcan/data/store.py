"""Processed data: how a study and the images of a split lie on disk, both mapped when read."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from rcan.errors import UserError, name_shown, reason_of
from rcan.files import digest_of, sha256_of
from rcan.reading import Shape, parse_json, read_json, require_file, require_shape

SPLITS = ("train", "val", "test")
PROJECTIONS = ("frontal", "lateral")


@dataclass(frozen=True)
class View:
    """One packed image of a study: its row in the split's image array, and how it was taken."""

    row: int
    projection: str | None  # "frontal", "lateral" or unknown


@dataclass(frozen=True)
class Study:
    """One examination: a report and at least one view of it."""

    id: str
    split: str
    report: str  # as the source gives it
    text: str  # cleaned; its tokens are text.split()
    views: tuple[View, ...]
    labels: tuple[str, ...] | None = None


_REMEDY = "run `dvc repro preprocess`"
_SHA256 = re.compile("[0-9a-f]{64}")
_SUMMARY: Shape = {
    "image_size": int,
    "splits": {split: {"studies": int, "images": int} for split in SPLITS},
    "files": {f"{split}{ending}": _SHA256 for split in SPLITS for ending in (".jsonl", ".npy")},
    "problems": dict,
    "digest": str,
}
_PROBLEM: Shape = {"count": int, "ids": [str]}
_VIEW: Shape = {"row": int, "projection": str | None}
_STUDY: Shape = {"id": str, "report": str, "text": str, "views": [_VIEW], "labels": list | None}
_BLOCK = 1 << 24  # bytes searched for line ends at once


def first_views(values: list[int], num_views: int) -> list[int]:
    """Of what there is of each of a study's views, the first ones; of fewer the last one again."""
    return (values + values[-1:] * num_views)[:num_views]


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
            row[:] = first_views([view.row for view in study.views], num_views)
        return rows


class Studies(Sequence[Study]):
    """The studies of a file with one a line, each read when it is asked for: memory holds none."""

    def __init__(self, path: Path, split: str):
        require_file(path)
        self._split = split
        self._file = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        self._ends = np.concatenate([
            np.flatnonzero(self._file[first : first + _BLOCK] == ord("\n")) + first + 1
            for first in range(0, len(self._file), _BLOCK)
        ])  # fmt: skip
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
        return _study_from(json.loads(self.line(index)), self._split)

    def line(self, index: int) -> bytes:
        """The line of one study as it stands in the file."""
        number = range(len(self))[index]
        first = self._ends[number - 1] if number else 0
        return self._file[first : self._ends[number]].tobytes()


def open_split(folder: Path, name: str) -> Split:
    """Open one split of `folder`, and only that one; texts and pixels stay on disk until used.

    Raises UserError when its files are missing, damaged or do not belong together.
    """
    if name not in SPLITS:
        raise UserError(f"expected a split of {', '.join(SPLITS)}, got {name!r}; name one of them")
    summary = read_summary(folder)
    images = _map_images(folder / f"{name}.npy", summary["image_size"])
    path = folder / f"{name}.jsonl"
    studies = _map_studies(path, name)
    num_views = _require_views(studies, path, num_images=len(images))
    found = {"studies": len(studies), "images": num_views}
    told = {kind: summary["splits"][name][kind] for kind in found}
    if found != told or sha256_of(path) != summary["files"][path.name]:
        raise UserError(
            f"{path}: expected the {told['studies']} studies with {told['images']} images that "
            f"summary.json tells of, found {found['studies']} with {found['images']}, or others; "
            f"{_REMEDY}"
        )
    return Split(name, studies, images)


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of processed data: counts, problems, rules, file digests and one `digest`.

    Raises UserError when it is missing or damaged.
    """
    path = folder / "summary.json"
    summary: dict[str, Any] = read_json(path, _SUMMARY, "the summary of data", _REMEDY)
    for kind, problem in summary["problems"].items():
        require_shape(problem, _PROBLEM, f"{path}, problems, {name_shown(kind)}", _REMEDY)
    if summary["digest"] != digest_of(summary["files"]):
        raise UserError(f"{path}: expected the digest of its files, found another; {_REMEDY}")
    return summary


def _map_images(path: Path, size: int) -> np.memmap:
    try:
        images = map_array(path)
    except Exception as error:  # of many kinds
        raise UserError(
            f"{path}: expected packed images ({reason_of(error)}); {_REMEDY}"
        ) from error
    if images.dtype != np.uint8 or images.shape[1:] != (size, size):
        raise UserError(
            f"{path}: expected uint8 images (N, {size}, {size}), "
            f"found {images.dtype} {images.shape}; {_REMEDY}"
        )
    return images


def _map_studies(path: Path, split: str) -> Studies:
    try:
        studies = Studies(path, split)
    except (OSError, ValueError) as error:  # ValueError: also an empty file
        raise UserError(f"{path}: expected studies ({reason_of(error)}); {_REMEDY}") from error
    if not studies:
        raise UserError(f"{path}: expected at least one study, found none; {_REMEDY}")
    return studies


def _require_views(studies: Studies, path: Path, *, num_images: int) -> int:
    """Check each line; the number of views of all studies."""
    num_views = 0
    for number in range(len(studies)):
        place = f"{path}, line {number + 1}"
        views = parse_json(studies.line(number), _STUDY, place, "one study", _REMEDY)["views"]
        rows = [view["row"] for view in views]
        if not rows or not all(0 <= row < num_images for row in rows):
            raise UserError(
                f"{place}: expected views among the {num_images} images of {path.stem}.npy, "
                f"found others; {_REMEDY}"
            )
        if not all(view["projection"] in (None, *PROJECTIONS) for view in views):
            raise UserError(f"{place}: expected frontal, lateral or null as projection; {_REMEDY}")
        num_views += len(views)
    return num_views


def _study_from(record: dict[str, Any], split: str) -> Study:
    return Study(
        id=record["id"],
        split=split,
        report=record["report"],
        text=record["text"],
        views=tuple(View(view["row"], view["projection"]) for view in record["views"]),
        labels=None if record["labels"] is None else tuple(record["labels"]),
    )


def map_array(path: Path) -> np.memmap:
    """The array of a whole file, without pickle.

    Raises whatever kind of error NumPy meets in a damaged header, which it reads as Python.
    """
    require_file(path)
    array: np.memmap = np.lib.format.open_memmap(path, mode="r")
    if not array.flags.c_contiguous or array.offset + array.nbytes != path.stat().st_size:
        raise ValueError("it is not as its header says")
    return array
