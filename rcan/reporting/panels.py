"""What figures of panels show: in each panel a row a system, beside one constant report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

CONSTANT, YOURS = "one constant report", "yours"
OVERLAP = ("BLEU-4", "ROUGE-L")
FALL, F1, OF_F1 = "Fall, swapped images", "Findings F1", "macro: mean over findings"


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
    def systems(self) -> list[float]:
        """The scores of all systems; controls and the reader's own row are none."""
        known = self.points.items()
        return [of.value["score"] for row, of in known if not (row.control or row.mine)]

    @property
    def above(self) -> str:
        """How many systems lie above the constant report."""
        if self.constant is None or not self.systems:
            return ""
        higher = sum(score > self.constant for score in self.systems)
        return f"{higher} of {len(self.systems)} above the constant"

    @property
    def words(self) -> str:
        """The panel for those who do not see it."""
        points = self.points.items()
        told = [f"{YOURS} {of.value['score']:.3f}" for row, of in points if row.mine]
        if self.systems:
            told.append(f"systems {min(self.systems):.3f} to {max(self.systems):.3f}")
        if self.constant is not None:
            told.append(f"{CONSTANT} {self.constant:.3f}")
        if self.above:
            told.append(self.above)
        return f"{self.title} ({self.unit}): {', '.join(told)}"


def point_of(values: Sequence[Mapping[str, Any]]) -> Point | None:
    """The mean over seeds of a score and, where all have one, of its interval."""
    seeds = [value for value in values if value.get("score") is not None]
    if not seeds:
        return None
    ends = [end for end in ("score", "low", "high") if all(end in value for value in seeds)]
    mean = {end: fmean(value[end] for value in seeds) for end in ends}
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
