"""The results of one evaluation as tables: Markdown for people, CSV for programs.

Every table names its data set, number of studies and protocol, and a score never stands without
its floor. The tables read `scores.json` (here `scores`), one evaluation each, so that two data sets
cannot meet in one.
"""

from collections.abc import Mapping
from typing import Any

from rcan.errors import UserError
from rcan.evaluation.diagnostics import verdict
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.schema import FLOOR_NAMES, GROUPS, KINDS, SPLITS, SUMS, WRITERS
from rcan.reporting.published import METRICS, RCAN_SOURCE, num_reports, rcan_row
from rcan.table import NONE, Table, measured, number, percent

COLUMNS = ("data", "split", "protocol", "system", "metric", "score", "low", "high")
LEAD = "model - best floor"
SWAP = "model, other studies' images"

_GROUP_NAMES = {
    "in_train": "reference word for word in train",
    "not_in_train": "reference not in train",
    "normal": "normal",
    "abnormal": "abnormal",
}
_WRITER_NAMES = {
    "model": "model",
    "image_swap": "the same, other studies' images",
    "best_constant": "best constant report",
    "references": "the references themselves",
}


def results_rows(scores: Mapping[str, Any]) -> list[dict[str, object]]:
    """One row a score, in COLUMNS.

    Systems are `model`, the two floors, LEAD (the difference to whichever floor is higher), SWAP
    (the image-swap control) and, under the protocol `published`, `RCAN`; an interval that nobody
    knows is None.

    Raises:
        UserError: a protocol or a floor is missing.
    """
    told = [
        (protocol, system, metric, values[metric])
        for protocol in PROTOCOLS
        for system, values in _systems(scores, protocol).items()
        for metric in METRICS
    ]
    published = (rcan_row(scores["data"]) or {}).items()
    told += [("published", "RCAN", metric, {"score": score}) for metric, score in published]
    rows = []
    for protocol, system, metric, value in told:
        score = value["difference"] if system == LEAD else value["score"]
        numbers = [score, value.get("low"), value.get("high")]
        names = [scores["data"], scores["split"], protocol, system, metric]
        rounded = [None if number is None else round(number, 6) for number in numbers]
        rows.append(dict(zip(COLUMNS, names + rounded, strict=True)))
    return rows


def _systems(scores: Mapping[str, Any], protocol: str) -> dict[str, Mapping[str, Any]]:
    """What is compared under one protocol: name -> metric -> score with its interval."""
    try:
        found = scores["protocols"][protocol]
        systems = {
            "model": found["model"],
            **{floor: found["floors"][floor] for floor in FLOOR_NAMES},
            LEAD: scores["beats_floor"][protocol],
            SWAP: scores["controls"]["image_swap"][protocol]["model"],
        }
        for values in systems.values():
            _ = [values[metric] for metric in METRICS]
    except KeyError as missing:
        raise UserError(
            f"scores.json: no {missing} under protocol {protocol}; a score is only shown beside "
            "its floors, so run the evaluate stage again"
        ) from missing
    return systems


def results_markdown(scores: Mapping[str, Any], protocol: str) -> str:
    """The six scores under one protocol: a caption line and a table, one metric a row.

    The paper's row joins under its own protocol, and only for data that the paper has.
    """
    systems = _systems(scores, protocol)
    published = rcan_row(scores["data"]) if protocol == "paper" else None
    caption = (
        f"{scores['data']}, {scores['split']} split, {scores['num_studies']} studies, "
        f"{protocol} protocol; 95 % intervals over studies in brackets."
    )
    head = ["", "model", "best constant", "most frequent", LEAD]
    head += [RCAN_SOURCE] if published else []
    rows = [
        [
            metric,
            measured(systems["model"][metric]),
            *(number(systems[floor][metric]["score"]) for floor in FLOOR_NAMES),
            measured(systems[LEAD][metric], "+.3f"),
            *([number(published[metric])] if published else []),
        ]
        for metric in METRICS
    ]
    return f"{caption}\n\n{Table(head, rows).markdown()}"


def published_note(scores: Mapping[str, Any]) -> str:
    """What the published row may, and may not, be compared with."""
    data_name, ours = scores["data"], scores["num_studies"]
    if rcan_row(data_name) is None:
        return (
            f"The paper has no data like {data_name}, so there is no published row to set beside "
            "these scores, and they say nothing about the paper's."
        )
    theirs = num_reports(data_name, scores["split"])
    note = f"The published row comes without an interval and was scored on {theirs} reports."
    return note if theirs == ours else f"{note[:-1]}; ours on {ours}, so not on the same studies."


def diagnostics_markdown(scores: Mapping[str, Any]) -> str:
    """How varied the predictions are."""
    found, caption = scores["diagnostics"], f"{scores['data']}, {scores['split']} split"
    rows = [
        ["studies", str(found["num_studies"])],
        ["different reports among the predictions", str(found["distinct_reports"])],
        ["predictions that are the commonest one", percent(found["top_share"])],
        ["predictions found word for word in train", percent(found["copied_from_train"])],
        ["mean length of a prediction, in tokens", f"{found['mean_length']:.1f}"],
        ["mean length of a reference, in tokens", f"{found['reference_mean_length']:.1f}"],
    ]
    return Table([caption, ""], rows).markdown()


def cautions(scores: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing a score; empty when all is well."""
    told = []
    judged = verdict(scores["diagnostics"])
    if judged.startswith("collapsed"):
        told.append(f"The model has {judged}.")
    below = [
        protocol for protocol in PROTOCOLS if _systems(scores, protocol)[LEAD]["BLEU-4"]["low"] <= 0
    ]
    if below:
        told.append(
            "The model is not shown to beat one constant report given to every study: the interval "
            f"of its lead in BLEU-4 does not lie above 0 ({' and '.join(below)} protocol)."
        )
    fall = scores["controls"]["image_swap"]["strict"]["fall"]["BLEU-4"]
    if fall["low"] <= 0:
        told.append(
            "The model is not shown to look at the images: given other studies' images, its BLEU-4 "
            "does not fall for sure (strict protocol)."
        )
    return told


def controls_markdown(scores: Mapping[str, Any]) -> str:
    """The section's paragraphs and tables, under the strict protocol."""
    parts = [_image_swap(scores), _shares(scores), _groups(scores)]
    if "findings" in scores:
        parts += [_overall(scores["findings"]), _each(scores["findings"])]
    return "\n\n".join(parts)


def _image_swap(scores: Mapping[str, Any]) -> str:
    right, control = scores["protocols"]["strict"], scores["controls"]["image_swap"]["strict"]
    rows = [
        [
            metric,
            number(right["model"][metric]["score"]),
            number(control["model"][metric]["score"]),
            measured(control["fall"][metric], "+.3f"),
            number(right["floors"]["best_constant"][metric]["score"]),
        ]
        for metric in ("BLEU-4", "METEOR", "ROUGE-L")
    ]
    head = ["", "model", "other studies' images", "fall", "best constant"]
    return Table(head, rows).markdown()


def _shares(scores: Mapping[str, Any]) -> str:
    told = []
    for split in SPLITS:
        shares = scores["group_shares"][split]
        told.append(
            f"{percent(shares['in_train'], 0)} of the {shares['num_studies']} {split} reports "
            "stand word for word in train"
        )
        if "normal" in shares:
            told[-1] += f", {percent(shares['normal'], 0)} of the labelled ones are normal"
    return "; ".join(told) + "."


def _groups(scores: Mapping[str, Any]) -> str:
    groups = scores["groups"]["strict"]
    rows = [
        [
            _GROUP_NAMES[name],
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
            _WRITER_NAMES[writer],
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
