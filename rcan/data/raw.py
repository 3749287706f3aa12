"""A data set as its source gives it: what a reader returns, what was wrong, and what is missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rcan.errors import UserError
from rcan.reading import is_missing

MOST_LISTED = 20
MOST_LOST = 0.1  # share of the reports, or of the images, that may be missing or unreadable


@dataclass(frozen=True)
class RawImage:
    """One image of a source, not read yet.

    `read()` gives (H, W) uint8 grey and raises UserError or OSError. `version` changes whenever
    the pixels may have changed (a file's size and time, a generator's seed); it is None when the
    source says there is an image but has none.
    """

    name: str
    read: Callable[[], np.ndarray] = field(compare=False)
    projection: str | None
    version: str | None = field(compare=False)


@dataclass(frozen=True)
class RawStudy:
    """One examination as its source gives it; two are equal when all but the pixels is equal."""

    id: str
    split: str
    report: str
    images: tuple[RawImage, ...]
    labels: tuple[str, ...] | None = None
    patient: str | None = None  # None where the source does not say

    @property
    def has_report(self) -> bool:
        """False, too, where the text only says that there is none, as `nan` does."""
        return not is_missing(self.report)


class Problems:
    """What went wrong: kind -> how often (`counts`), and its first ids in order (`first`)."""

    def __init__(self, known: Mapping[str, Iterable[str]] | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[str]] = {}
        for kind, ids in (known or {}).items():
            for name in ids:
                self.add(kind, name)

    def add(self, kind: str, name: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        first = self.first.setdefault(kind, [])
        if len(first) < MOST_LISTED:
            first.append(name)

    def copy(self) -> "Problems":
        """The same so far; what is added to one is not to the other."""
        other = Problems()
        other.counts = dict(self.counts)
        other.first = {kind: list(first) for kind, first in self.first.items()}
        return other

    def summary(self) -> dict[str, dict[str, Any]]:
        """Count and first ids of each kind."""
        return {
            kind: {"count": count, "ids": list(self.first[kind])}
            for kind, count in self.counts.items()
        }


@dataclass(frozen=True)
class RawDataSet:
    """What a source holds, and what its reader met.

    `studies`: a list or, where they are too many for memory, what reads each when asked for it.
    """

    name: str
    layout: str
    studies: Sequence[RawStudy]
    problems: Problems = field(default_factory=Problems)


@dataclass
class Tally:
    """Counts of studies, one by one, and the first that lacks a report or an image."""

    name: str
    studies: int = 0
    reports_missing: int = 0
    first_without: str = ""
    images: int = 0
    images_missing: int = 0
    first_missing: RawImage | None = None

    def count(self, study: RawStudy) -> None:
        self.studies += 1
        if not study.has_report:
            self.reports_missing += 1
            self.first_without = self.first_without or study.id
        self.images += len(study.images)
        for image in study.images:
            if image.version is None:
                self.images_missing += 1
                self.first_missing = self.first_missing or image

    def require_most_reports(self) -> None:
        """Raise UserError when more than a tenth of all reports is missing."""
        if self.reports_missing > MOST_LOST * self.studies:
            raise UserError(
                f"{self.name}: expected {self.studies} reports, {self.reports_missing} are missing "
                f"or empty, such as that of {self.first_without}; nothing was written: complete "
                "the reports"
            )

    def require_most_images(self, unreadable: int = 0, first: RawImage | None = None) -> None:
        """Raise UserError when more than a tenth of all images is missing or unreadable."""
        lost = self.first_missing or first
        if lost and self.images_missing + unreadable > MOST_LOST * self.images:
            raise UserError(
                f"{self.name}: expected {self.images} images, {self.images_missing} are missing "
                f"and {unreadable} unreadable, such as: {_why_lost(lost)}; "
                "nothing was written: complete the image folder and run again"
            )


def _why_lost(image: RawImage) -> str:
    try:
        image.read()
    except (UserError, OSError) as error:
        return str(error)
    return image.name
