"""What scores.json and best.json hold, and the one line for a file that does not.

Readers say what they need: older evaluations, `rcan score` and published numbers lack some of it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from rcan.errors import UserError, name_shown
from rcan.evaluation.kept_floors import FLOORS
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.scores import METRICS
from rcan.reading import NAMES

SPLITS = ("val", "test")  # of whose studies the shares of groups are told
ABSENT: Any = None  # the default of what may be left out


class _WrongError(ValueError):
    """What is said of a value or, with `inside`, of one in it; `lacks`: what is missing in it."""

    def __init__(self, said: str, inside: Iterable[str] = (), lacks: Iterable[str] = ()):
        super().__init__(said)
        self.inside, self.lacks = list(inside), list(lacks)


def _between(least: float, most: float) -> AfterValidator:
    def check(value: float) -> float:
        if not least <= value <= most:
            found = int(value) if value.is_integer() else value
            raise _WrongError(f"expected {least} to {most}, found {found}")
        return value

    return AfterValidator(check)


def _holding(names: Iterable[str]) -> AfterValidator:
    def check(value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in names:
            if name not in value:
                raise _WrongError(f"expected {name!r}, found none", lacks=[name])
        return value

    return AfterValidator(check)


def _like(pattern: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise _WrongError(f"expected a text like {pattern}")
        return value

    return AfterValidator(check)


def _share_or_null(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A score with its interval; what is 0 / 0 has none, and null stands in all places."""
    numbers = [value.get(key, "") for key in ("score", "low", "high")]
    if numbers != [None] * 3 and not all(
        isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n <= 1 for n in numbers
    ):
        raise _WrongError("expected 0 to 1 or null as score, low and high, found others")
    return value


Share = Annotated[float, _between(0, 1)]
Lead = Annotated[float, _between(-1, 1)]
Digest = Annotated[str, _like("[0-9a-f]{32}")]
Rate = Annotated[dict[str, Any], AfterValidator(_share_or_null)]


class _Part(BaseModel):
    """An object of a file, of which more may stand there."""

    model_config = ConfigDict(strict=True)


class Interval(_Part):
    """A score and its 95 % interval over studies."""

    score: Share
    low: Share
    high: Share


class Difference(_Part):
    """How far one score is above another, with a paired interval."""

    difference: Lead
    low: Lead
    high: Lead
    p: Share = ABSENT
    floor: str = ABSENT  # the one that is compared with


Six = Annotated[dict[str, Interval], _holding(METRICS)]
SixDifferences = Annotated[dict[str, Difference], _holding(METRICS)]


class Systems(_Part):
    """The scores under one protocol."""

    model: Six
    floors: Annotated[dict[str, Six], _holding(FLOORS)]


class Floor(_Part):
    """One report given to every study: of protocol strict, and of each."""

    text: str
    texts: dict[str, str] = ABSENT
    chosen_on: str = ABSENT


class Diagnostics(_Part):
    """See rcan.evaluation.diagnostics."""

    num_studies: int
    distinct_reports: int
    top_share: Share
    copied_from_train: Share
    mean_length: float
    reference_mean_length: float


class Swapped(_Part):
    """Scores with another study's images, and how far they fall below those with its own."""

    model: Six
    fall: SixDifferences


class Controls(_Part):
    """What a model must fail at that does not look."""

    image_swap: Annotated[dict[str, Swapped], _holding(PROTOCOLS)]


class Group(_Part):
    """Scores on some of the studies alone."""

    num_studies: int
    model: Six
    best_constant: Six


class Shares(_Part):
    """How many studies of a split are in a group; `normal` where labels tell."""

    num_studies: int
    in_train: Share
    normal: Share = ABSENT


class Rates(_Part):
    """How well findings are named."""

    precision: Rate
    recall: Rate
    f1: Rate


class OfAFinding(Rates):
    """The same of one finding, and the studies that have it, are said to have it, and both."""

    positives: int
    predicted: int
    hits: int


class Found(_Part):
    """The findings in the reports of one writer."""

    per_finding: dict[str, OfAFinding]
    macro: Rates
    micro: Rates


def _same_findings(value: "Findings") -> "Findings":
    for writer in WRITERS:
        if list(getattr(value, writer).per_finding) != list(value.references.per_finding):
            raise _WrongError("expected the findings of the references, found others", [writer])
    return value


class Findings(_Part):
    """Findings named by four writers, against the studies' labels; where the labeler reads side,
    size and place, also those with all of them right."""

    labeler: str
    num_studies: int
    model: Found
    image_swap: Found
    best_constant: Found
    references: Found
    with_attributes: Annotated[dict[str, Rates], _holding(["model"])] = ABSENT


class ScoresFile(_Part):
    """scores.json. `findings` are there where studies have labels."""

    data: str
    split: Annotated[str, _like("train|val|test")]
    restricted: bool
    num_studies: int
    data_digest: str
    run: str
    model: str
    seed: int
    epoch: int
    beam_size: int
    length_penalty: float
    signature: str
    protocols: Annotated[dict[str, Systems], _holding(PROTOCOLS)]
    floors: Annotated[dict[str, Floor], _holding(FLOORS)]
    diagnostics: Diagnostics
    beats_floor: Annotated[dict[str, SixDifferences], _holding(PROTOCOLS)]
    controls: Controls
    groups: Annotated[dict[str, dict[str, Group]], _holding(PROTOCOLS)]
    group_shares: Annotated[dict[str, Shares], _holding(SPLITS)]
    references: Annotated[dict[str, str], _holding(PROTOCOLS)]
    findings: Annotated[Findings, AfterValidator(_same_findings)] = ABSENT


class MetricsFile(_Part):
    """metrics.json, what `dvc metrics show` and `dvc exp show` list: strict scores, the floor, and
    what neither tells: variety, the fall of BLEU-4 with other studies' images, findings' macro F1.
    """

    test: dict[str, float]
    floor: dict[str, float]
    distinct: int
    fall: float
    finding_f1: float | None = ABSENT


class BestFile(_Part):
    """best.json: the epoch that validation chose, and what was trained on what."""

    epoch: int
    key: Digest
    data_digest: Digest
    name: str
    length_penalty: float


# As tables call the floors.
FLOOR_NAMES = {"best_constant": "best constant report", "most_frequent": "most frequent report"}
GROUPS = ("in_train", "not_in_train", "normal", "abnormal")
WRITERS = ("model", "image_swap", "best_constant", "references")
SUMS = ("macro", "micro")
KINDS = tuple(Rates.model_fields)
TEXTLESS = tuple(name for name in ScoresFile.model_fields if name != "floors")  # as published


def require(
    model: type[BaseModel], value: Any, place: str, remedy: str, needs: Iterable[str] = ()
) -> None:
    """Raise `UserError` unless `value`, found at `place`, is as `model` has it.

    `needs`: dotted keys; nothing else is checked then.
    """
    wanted = [need.split(".") for need in needs] or [[]]
    try:
        model.model_validate(value)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            keys, said, lacks = _said(found)
            for need in wanted:
                if all(a == b for a, b in zip([*keys, *lacks], need, strict=False)):
                    where = ", ".join([place, *map(name_shown, keys)])
                    raise UserError(f"{where}: {said}; {remedy}") from None


def _said(error: Mapping[str, Any]) -> tuple[list[str], str, list[str]]:
    """The keys of a value that is wrong, what is, and the key that it lacks, if any."""
    keys = [str(key) for key in error["loc"]]
    if error["type"] == "missing":
        return keys[:-1], f"expected {keys[-1]!r}, found none", keys[-1:]
    if error["type"] == "value_error":
        wrong = error["ctx"]["error"]
        return keys + wrong.inside, str(wrong), wrong.lacks
    kind = {"model": dict, "dict": dict, "string": str, "int": int, "float": float, "bool": bool}
    expected = NAMES[kind[error["type"].partition("_")[0]]]
    came = type(error["input"])
    return keys, f"expected {expected}, found {NAMES.get(came, came.__name__)}", []
