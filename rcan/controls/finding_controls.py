"""Three controls that write from findings alone: one sees the image, two are told the truth.

`finding_template`: the findings that a linear head sees, put into the best constant report.
`oracle_template`: the same with the true findings, `oracle_fitted`: with a text of its own for
each set of true findings. What BLEU pays for being right, these two show.

All comes from train, but for the constant report, which is the floor's (chosen on validation), and
one offset: how far above its threshold a finding must be to be told. The thresholds are where F1
is best. Overlap scores ask for fewer findings: of OFFSETS validation chooses the one with the
highest F1 among those that cost no BLEU-4, as against the constant report, or else the one with
the highest BLEU-4.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rcan.controls.finding_head import Head, Space, fit_head
from rcan.controls.finding_texts import Findings, FittedTexts, Template
from rcan.data.store import Split, Study
from rcan.errors import UserError
from rcan.evaluation.bleu import bleu, bleu_of_constant
from rcan.evaluation.finding_scores import compare_findings
from rcan.evaluation.labelers import Labeler

SEEN, TOLD, FITTED = "finding_template", "oracle_template", "oracle_fitted"
OFFSETS = tuple(0.25 * step for step in range(11))
Row = dict[str, float]


@dataclass(frozen=True)
class Control:
    """A control under one seed of the folds.

    `write`: the reports of a split. `trials`: a row an offset, with the validation scores; that
    of place `chosen` is taken.
    """

    name: str
    seed: int
    write: Callable[[Split], list[str]]
    trials: Sequence[Row]
    chosen: int = 0


@dataclass(frozen=True)
class Ground:
    """What the controls are made from; `references`: of validation, that BLEU-4 is against."""

    train: Split
    val: Split
    references: Sequence[str]
    constant: str
    labeler: Labeler
    features: Callable[[Split], np.ndarray]


def has_labels(split: Split, labeler: Labeler | None) -> bool:
    """Whether the labels of some study say what there is to be found in it."""
    return labeler is not None and any(
        study.labels is not None and labeler.known(study.labels) is not None
        for study in split.studies
    )


def fit_controls(ground: Ground, seeds: Sequence[int]) -> Iterator[Control]:
    """All controls: those that are told, once, then the one that sees under each of `seeds`.

    Raises:
        UserError: train has no labels.
    """
    labeler = ground.labeler
    known = [_known(study, labeler) for study in ground.train.studies]
    rows = [place for place, found in enumerate(known) if found is not None]
    if not rows:
        raise UserError("expected labels of train studies; got none; leave this control out")
    texts = [ground.train.studies[row].text for row in rows]
    findings = [known[row] or frozenset() for row in rows]
    template = Template(ground.constant, texts, findings, labeler)
    fitted = FittedTexts(texts, findings, labeler.findings)
    for name, text_of in ((TOLD, template.text), (FITTED, fitted.text)):
        yield _told(ground, name, text_of)
    space = Space(ground.features(ground.train)[rows])
    there = torch.tensor([[name in found for name in labeler.findings] for found in findings])
    most = round(np.mean([len(found) for found in findings if found] or [0]))
    for seed in seeds:
        head, _ = fit_head(space.train, there.float(), seed)
        yield _seeing(ground, seed, space, head, template, most)


def _known(study: Study, labeler: Labeler) -> Findings | None:
    return None if study.labels is None else labeler.known(study.labels)


def _seeing(
    ground: Ground, seed: int, space: Space, head: Head, template: Template, most: int
) -> Control:
    findings = np.array(ground.labeler.findings)

    def texts_of(margins: np.ndarray, offset: float) -> list[str]:
        return [template.text(frozenset(findings[_surest(of, offset, most)])) for of in margins]

    def margins_of(split: Split) -> np.ndarray:
        return head.margins(space.of(ground.features(split)))

    margins = margins_of(ground.val)
    trials = [
        {"offset": offset, **_validated(ground, texts_of(margins, offset))} for offset in OFFSETS
    ]
    chosen = choose(trials, floor=bleu_of_constant(ground.constant, ground.references))
    offset = OFFSETS[chosen]
    return Control(SEEN, seed, lambda split: texts_of(margins_of(split), offset), trials, chosen)


def _surest(margins: np.ndarray, offset: float, most: int) -> np.ndarray:
    """Places of the findings that are `offset` above their thresholds, the `most` surest."""
    first = np.argsort(-margins, kind="stable")[:most]
    return first[margins[first] >= offset]


def choose(trials: Sequence[Row], floor: float) -> int:
    """The place of the row with the highest F1 among those whose BLEU-4 is `floor` or more; if
    there is none, of the one with the highest BLEU-4."""
    free = [place for place, row in enumerate(trials) if row["val_BLEU-4"] >= floor]
    if free:
        return max(free, key=lambda place: trials[place]["val_finding_f1"])
    return max(range(len(trials)), key=lambda place: trials[place]["val_BLEU-4"])


def _told(ground: Ground, name: str, text_of: Callable[[Findings], str]) -> Control:
    def write(split: Split) -> list[str]:
        known = (_known(study, ground.labeler) for study in split.studies)
        return [text_of(found or frozenset()) for found in known]

    return Control(name, 1, write, [_validated(ground, write(ground.val))])


def _validated(ground: Ground, texts: Sequence[str]) -> Row:
    labels = [study.labels for study in ground.val.studies]
    found = compare_findings(ground.labeler, {"model": texts}, labels, resamples=1, seed=1)
    scores = bleu(texts, ground.references)
    f1 = found["model"]["macro"]["f1"]["score"] if found else None
    return {**{f"val_{name}": score for name, score in scores.items()}, "val_finding_f1": f1 or 0.0}
