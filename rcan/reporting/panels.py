"""What figures of panels show: in each panel a row a system, beside one constant report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

CONSTANT = "one constant report"


@dataclass(frozen=True)
class System:
    """A row: a system, a control, or the reader's own predictions."""

    title: str
    control: bool = False
    colour: str = ""  # where it has one of its own
    mine: bool = False


@dataclass(frozen=True)
class Point:
    """What a panel shows of one system."""

    value: Mapping[str, float]  # score, low, high
    seeds: Sequence[float] = ()
    paper: float | None = None


@dataclass(frozen=True)
class Panel:
    """What is known of each system; those without a number are absent."""

    title: str
    unit: str
    points: Mapping[System, Point]
    constant: float | None

    @property
    def above(self) -> str:
        """How many systems, controls aside, lie above the constant report."""
        if self.constant is None:
            return ""
        scores = [of.value["score"] for row, of in self.points.items() if not row.control]
        higher = sum(score > self.constant for score in scores)
        return f"{higher} of {len(scores)} above the constant"

    @property
    def words(self) -> str:
        """The panel for those who do not see it."""
        scores = [point.value["score"] for point in self.points.values()]
        told = f"{self.title} ({self.unit}): {min(scores):.3f} to {max(scores):.3f}"
        if self.constant is None:
            return told
        return f"{told}; {CONSTANT} {self.constant:.3f}, {self.above}"


def point_of(values: Sequence[Mapping[str, Any]]) -> Point | None:
    """The mean over seeds of a score and of its interval, of those that have it."""
    seeds = [value for value in values if value.get("score") is not None]
    if not seeds:
        return None
    mean = {end: fmean(value[end] for value in seeds) for end in ("score", "low", "high")}
    return Point(mean, [value["score"] for value in seeds])


def fall_of(scores: Mapping[str, Any], protocol: str) -> Mapping[str, Any]:
    """What BLEU-4 loses with another study's images, of a scores.json."""
    swapped = scores.get("controls", {}).get("image_swap", {})
    if protocol not in swapped:
        return {}
    fall = swapped[protocol]["fall"]["BLEU-4"]
    return {**fall, "score": fall["difference"]}


def f1_of(scores: Mapping[str, Any], writer: str = "model") -> Mapping[str, Any]:
    """The mean F1 over findings, of a scores.json."""
    found: Mapping[str, Any] = scores.get("findings", {}).get(writer, {})
    return found["macro"]["f1"] if found else {}
