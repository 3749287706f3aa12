"""R2Gen's list of IU X-ray studies, and where a layout puts the parts of one."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STUDIES = Path(__file__).parents[1] / "iu_xray_studies.csv"


@dataclass(frozen=True)
class ListedStudy:
    """One study of R2Gen's split; `stems` name its two images as Open-i and Kaggle do."""

    id: str  # "CXR2384_IM-0942"
    split: str
    stems: tuple[str, ...]  # "2384_IM-0942-1001", ...
    projections: tuple[str | None, ...]  # "frontal", "lateral" or unknown

    @property
    def number(self) -> str:
        """The patient number by which Open-i and Kaggle name the report: "2384"."""
        return self.id.removeprefix("CXR").partition("_")[0]


@dataclass(frozen=True)
class FoundStudy:
    """What a layout has of a listed study; an image's path may lead to no file."""

    report: str
    image_paths: tuple[Path, ...]
    labels: tuple[str, ...] | None = None


def listed_studies() -> list[ListedStudy]:
    """All 2,955 studies in R2Gen's order: 2,069 train, 296 val, 590 test."""
    with STUDIES.open(encoding="utf-8", newline="") as file:
        return [
            ListedStudy(
                id=row["id"],
                split=row["split"],
                stems=(row["image_0"], row["image_1"]),
                projections=(row["projection_0"] or None, row["projection_1"] or None),
            )
            for row in csv.DictReader(file)
        ]


def first_file(candidates: Iterable[Path]) -> Path:
    """The first candidate that is a file; if none is, the first one, for messages to name."""
    candidates = list(candidates)
    return next((path for path in candidates if os.path.isfile(path)), candidates[0])
