"""The records of the data package: a study as its source gives it, and as it lies on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

SPLITS = ("train", "val", "test")


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


@dataclass(frozen=True)
class RawDataSet:
    """What a source holds: `problems` maps what its reader met to the ids it was met in."""

    name: str
    layout: str
    studies: list[RawStudy]
    problems: dict[str, list[str]] = field(default_factory=dict)
