"""What overlap scores cannot see, as a section of results.md."""

from collections.abc import Mapping
from typing import Any

from rcan.evaluation.schema import GROUPS, KINDS, SPLITS, SUMS, WRITERS
from rcan.table import NONE, Table, measured, number, percent

SHOWN = ("BLEU-4", "METEOR", "ROUGE-L")
GROUP_NAMES = {
    "in_train": "reference word for word in train",
    "not_in_train": "reference not in train",
    "normal": "normal",
    "abnormal": "abnormal",
}
WRITER_NAMES = {
    "model": "model",
    "image_swap": "the same, other studies' images",
    "best_constant": "best constant report",
    "references": "the references themselves",
}

NOTE = (
    "A report may overlap with its reference for reasons that have nothing to do with the image. "
    "So the model is also given another study's images: a score that does not fall was not owed to "
    "the image. Studies whose report stands in train, and normal ones, are scored apart. Where "
    "studies have labels, the findings that a report tells of are compared with them; the last row "
    "is the reference reports' own agreement with the labels, the most that can be had."
)


def controls_markdown(scores: Mapping[str, Any]) -> str:
    """The section's paragraphs and tables, under the strict protocol."""
    parts = [NOTE, _image_swap(scores), _shares(scores), _groups(scores)]
    if "findings" in scores:
        parts += [_overall(scores["findings"]), _each(scores["findings"])]
    return "\n\n".join(part.rstrip("\n") for part in parts)


def _image_swap(scores: Mapping[str, Any]) -> str:
    right, control = scores["protocols"]["strict"], scores["controls"]["image_swap"]["strict"]
    rows = []
    for metric in SHOWN:
        fall = control["fall"][metric]
        rows.append(
            [
                metric,
                number(right["model"][metric]["score"]),
                number(control["model"][metric]["score"]),
                measured(fall, "+.3f"),
                number(right["floors"]["best_constant"][metric]["score"]),
            ]
        )
    head = ["", "model", "other studies' images", "fall", "best constant"]
    return Table(head, rows).markdown()


def _shares(scores: Mapping[str, Any]) -> str:
    told = []
    for split in SPLITS:
        shares = scores["group_shares"][split]
        normal = ""
        if "normal" in shares:
            normal = f", {percent(shares['normal'], 0)} of the labelled ones are normal"
        told.append(
            f"{percent(shares['in_train'], 0)} of the {shares['num_studies']} {split} reports "
            f"stand word for word in train{normal}"
        )
    return "; ".join(told) + "."


def _groups(scores: Mapping[str, Any]) -> str:
    groups = scores["groups"]["strict"]
    rows = [
        [
            GROUP_NAMES[name],
            str(groups[name]["num_studies"]),
            measured(groups[name]["model"]["BLEU-4"]),
            measured(groups[name]["best_constant"]["BLEU-4"]),
        ]
        for name in GROUPS
        if name in groups
    ]
    return Table(["BLEU-4", "studies", "model", "best constant"], rows).markdown()


def _overall(findings: Mapping[str, Any]) -> str:
    rows = [
        [
            WRITER_NAMES[writer],
            *(measured(findings[writer][s][k], ".2f") for s in SUMS for k in KINDS),
        ]
        for writer in WRITERS
    ]
    if "with_attributes" in findings:
        rates = findings["with_attributes"]["model"]
        cells = [*[NONE] * len(KINDS), *(measured(rates[kind], ".2f") for kind in KINDS)]
        rows.insert(1, ["model, side, size and place right as well", *cells])
    head = ["findings told by", *(f"{total} {kind}" for total in SUMS for kind in KINDS)]
    caption = f"Findings of {findings['num_studies']} studies. Labeler: {findings['labeler']}."
    return f"{caption}\n\n{Table(head, rows).markdown()}"


def _each(findings: Mapping[str, Any]) -> str:
    rows = []
    for name, rates in findings["model"]["per_finding"].items():
        counts = [str(rates[key]) for key in ("positives", "predicted", "hits")]
        limit = findings["references"]["per_finding"][name]["f1"]
        rows.append([name, *counts, measured(rates["f1"], ".2f"), measured(limit, ".2f")])
    head = ["finding", "studies with it", "told by the model", "rightly", "F1", "references' F1"]
    return Table(head, rows).markdown()
