"""What is scored: predictions beside their references, study by study, cleaned one way."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rcan.data.sets import data_set
from rcan.errors import UserError, name_shown
from rcan.evaluation.protocols import UNKNOWN
from rcan.scoring.texts import Texts, read_annotation, read_texts

MOST_NAMED = 3
NO_CLEANING = "none"
_STAND_IN = "rcanunknownword"  # cleaning would strip the brackets of <unk>


@dataclass(frozen=True)
class Cleaner:
    """The words of a report as they are scored; `name` is a data set's or NO_CLEANING."""

    data: str
    clean: bool = True

    @property
    def name(self) -> str:
        return self.data if self.clean else NO_CLEANING

    @property
    def tells_ids(self) -> bool:
        return not data_set(self.data).restricted

    def __call__(self, text: str) -> str:
        """Joined by single spaces. An empty text stays empty: cleaned it would be a full stop."""
        if not text.strip():
            return ""
        if self.clean:
            text = data_set(self.data).clean(text.replace(UNKNOWN, _STAND_IN))
        return " ".join(text.replace(_STAND_IN, UNKNOWN).split())

    def as_written(self, prediction: str) -> str:
        """The same of a prediction, but one that is clean and was cut before its last full stop, as
        the longest are, gets none: its model wrote none."""
        cleaned, words = self(prediction), " ".join(prediction.split())
        return words if cleaned == f"{words} ." else cleaned


@dataclass(frozen=True)
class Ground:
    """References in order, and the training reports that floors come from, all cleaned.

    `val` is empty where nobody gave any. `listed`: the references are an annotation.json's, in the
    order in which R2Gen's code reads them. `elsewhere`: id -> the other split that has it there.
    """

    ids: list[str]
    references: list[str]
    by_line: bool
    train: list[str] = field(default_factory=list)
    val: list[str] = field(default_factory=list)
    listed: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def read_ground(
    references: Texts, cleaner: Cleaner, *, train: Path | None, val: Path | None
) -> Ground:
    """The references of `references`, train and validation reports of files.

    An annotation.json given as `train` gives both; one that the references came from does so
    unasked, unless its references are the train split.

    Raises:
        UserError: an empty reference, or a file that cannot be read.
    """
    empty = [name for name, text in references.by_id.items() if not text.strip()]
    if empty:
        raise UserError(
            f"{references.path}: expected a text for every reference, {len(empty)} of"
            f" {len(references.by_id)} are empty{_named(empty, cleaner)}; leave these studies out"
            " of both files"
        )
    tell = cleaner.tells_ids
    own = read_annotation(references.path, tell=tell) or {}
    splits = (read_annotation(train, tell=tell) or {}) if train else own
    reports: dict[str, Mapping[str, str]] = {
        split: splits[split].by_id for split in ("train", "val") if split in splits
    }
    if train and "train" not in reports:
        reports["train"] = read_texts(train, "reports", "train", tell=tell).by_id
    if val:
        reports["val"] = read_texts(val, "reports", "val", tell=tell).by_id
    if reports.get("train") == references.by_id:
        reports = {}
    return Ground(
        ids=list(references.by_id),
        references=[cleaner(text) for text in references.by_id.values()],
        by_line=references.by_line,
        train=_cleaned(reports.get("train", {}), cleaner),
        val=_cleaned(reports.get("val", {}), cleaner),
        listed=bool(own),
        elsewhere={name: split for split, texts in own.items() for name in texts.by_id},
    )


def matched(predictions: Texts, ground: Ground, cleaner: Cleaner) -> list[str]:
    """The predictions in the order of the references, cleaned.

    Raises:
        UserError: studies that only one side has; none is left out silently.
    """
    return [cleaner.as_written(text) for text in in_order(predictions, ground, cleaner)]


def in_order(predictions: Texts, ground: Ground, cleaner: Cleaner) -> list[str]:
    """`matched`, each text as it is given."""
    by_line = predictions.by_line and (ground.by_line or ground.listed)
    if predictions.by_line != ground.by_line and not by_line:
        raise UserError(
            f"{predictions.path}: expected both sides to have ids, or both to be plain text, a"
            " report a line; give both in one format"
        )
    if by_line and len(predictions.by_id) != len(ground.ids):
        raise UserError(
            f"{predictions.path}: expected {len(ground.ids)} lines, one a reference, found"
            f" {len(predictions.by_id)}; write an empty line for an empty report"
        )
    if by_line:
        return list(predictions.by_id.values())
    known = set(ground.ids)
    lacking = [name for name in ground.ids if name not in predictions.by_id]
    surplus = [name for name in predictions.by_id if name not in known]
    if lacking or surplus:
        raise UserError(
            f"{predictions.path}: expected one prediction for each of {len(known)} references;"
            f" {len(lacking)} have none{_named(lacking, cleaner)}, {len(surplus)} predictions have"
            f" no reference{_named(surplus, cleaner)}{_of_splits(surplus, ground)}; score the same"
            " studies on both sides"
        )
    return [predictions.by_id[name] for name in ground.ids]


def _of_splits(surplus: Sequence[str], ground: Ground) -> str:
    """How many of the predictions are of which other split."""
    counts = Counter(ground.elsewhere[name] for name in surplus if name in ground.elsewhere)
    told = [f"{number} of split {split}" for split, number in counts.items()]
    return f", {' and '.join(told)}" if told else ""


def _cleaned(reports: Mapping[str, str], clean: Callable[[str], str]) -> list[str]:
    return [text for report in reports.values() if (text := clean(report)).strip(" .")]


def _named(ids: Sequence[str], cleaner: Cleaner) -> str:
    if not ids or not cleaner.tells_ids:
        return ""
    more = ", ..." if len(ids) > MOST_NAMED else ""
    return f" ({', '.join(name_shown(name) for name in ids[:MOST_NAMED])}{more})"
