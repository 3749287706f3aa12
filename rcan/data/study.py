"""A study as it lies on disk once its data set is processed."""

from dataclasses import dataclass

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
