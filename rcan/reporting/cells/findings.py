"""Findings that reports name, against the studies' labels: precision, recall and F1."""

from collections.abc import Mapping
from typing import Any

from rcan.reporting.cells.layout import Part, Row, Score, Table
from rcan.reporting.cells.runs import Result
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.wording import NONE, cell_name, ground
from rcan.reporting.control_shapes import KINDS
from rcan.reporting.groups import FULL, TABLE_4

_CELLS = ("transformer", "blind", "r2gencmn", *TABLE_4)
_OTHERS = {
    "image_swap": "the same, given other studies' images",
    "best_constant": "best constant report",
    "references": "the reference reports: the labeler's own limit",
}
_SUMS = ("macro", "micro")


def findings_table(ablations: Ablations) -> Table | None:
    """Macro and micro of the main cells, then F1 a finding; None where nothing has labels."""
    first = {
        cell: result
        for cell in _CELLS
        for result in ablations.model(cell).results[:1]
        if "findings" in result.scores
    }
    if not first:
        return None
    full = first.get(FULL) or next(iter(first.values()))
    labeler = full.scores["findings"]["labeler"]
    return Table(
        "findings",
        f"Findings named in the reports: {ground(ablations)}",
        [_overall(ablations, first, full), _each(ablations, first, full)],
        [f"The labeler: {labeler}.", "Each cell's first seed. What is 0 / 0 has no score: –."],
        _records(ablations, first, full),
    )


def _writers(first: Mapping[str, Result], full: Result) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """name -> kind of row, and what was found; each cell, then what bounds them all."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {
        cell_name(cell): ("control" if cell == "blind" else "ours", r.scores["findings"]["model"])
        for cell, r in first.items()
    }
    for writer, name in _OTHERS.items():
        told = f"{name} (the full model)" if writer == "image_swap" else name
        found[told] = ("floor", full.scores["findings"][writer])
    return found


def _overall(ablations: Ablations, first: Mapping[str, Result], full: Result) -> Part:
    head = ["reports of", *(f"{total} {kind}" for total in _SUMS for kind in KINDS)]
    rows = [
        Row([name, *(_rate(found[total][kind]) for total in _SUMS for kind in KINDS)], row)
        for name, (row, found) in _writers(first, full).items()
    ]
    findings = full.scores["findings"]
    if "with_attributes" in findings:
        rates = findings["with_attributes"]["model"]
        cells = [*[Score(NONE)] * len(KINDS), *(_rate(rates[kind]) for kind in KINDS)]
        name = "the full model, side, size and place right as well"
        rows.insert(len(first), Row([name, *cells]))
    caption = (
        f"{ground(ablations)}, {findings['num_studies']} of them with labels. 95 % intervals over "
        "studies in brackets. Macro: the mean over "
        "findings; micro: all findings of all studies counted together."
    )
    return Part("All findings together", caption, head, rows)


def _each(ablations: Ablations, first: Mapping[str, Result], full: Result) -> Part:
    writers = _writers(first, full)
    references = full.scores["findings"]["references"]["per_finding"]
    rows = []
    for finding, facts in references.items():
        values = [
            _rate(found["per_finding"][finding]["f1"], found["per_finding"][finding])
            if finding in found["per_finding"]
            else Score(NONE)
            for _, found in writers.values()
        ]
        rows.append(Row([finding, Score(str(facts["positives"])), *values]))
    return Part(
        "F1 of each finding",
        f"{ground(ablations)}. 95 % intervals over studies in brackets; then in how many reports "
        "the finding was named, and in how many of these rightly.",
        ["finding", "studies with it", *writers],
        rows,
        folded=True,
    )


def _rate(value: Mapping[str, float | None], counts: Mapping[str, Any] | None = None) -> Score:
    told = f"; {counts['predicted']}, {counts['hits']}" if counts else ""
    score, low, high = (value[key] for key in ("score", "low", "high"))
    if score is None:
        return Score(NONE, told.removeprefix("; "))
    interval = "" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"
    return Score(f"{score:.3f}", interval + told)


def _records(
    ablations: Ablations, first: Mapping[str, Result], full: Result
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, (_, found) in _writers(first, full).items():
        named = {total: found[total] for total in _SUMS} | dict(found["per_finding"])
        for finding, rates in named.items():
            rows.append(
                {
                    "data": ablations.data,
                    "scale": ablations.settings.scale,
                    "split": "test",
                    "studies": ablations.num_studies,
                    "reports of": name,
                    "finding": finding,
                    **{key: rates.get(key) for key in ("positives", "predicted", "hits")},
                    **{
                        f"{kind}{ending}": rates[kind][key]
                        for kind in KINDS
                        for key, ending in (("score", ""), ("low", ", low"), ("high", ", high"))
                    },
                }
            )
    return rows
