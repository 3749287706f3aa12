"""A data set as its source gives it: what a reader returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rcan.data.problems import Problems
from rcan.reading import is_missing


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


@dataclass(frozen=True)
class RawDataSet:
    """What a source holds, and what its reader met.

    `studies`: a list or, where they are too many for memory, what reads each when asked for it.
    """

    name: str
    layout: str
    studies: Sequence[RawStudy]
    problems: Problems = field(default_factory=Problems)
