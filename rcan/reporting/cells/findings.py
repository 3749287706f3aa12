"""Findings that reports name, against the studies' labels: precision, recall and F1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from rcan.ablation.cells import FULL
from rcan.evaluation.schema import KINDS
from rcan.reporting.cells.runs import Result
from rcan.reporting.cells.study import Ablations
from rcan.table import NONE, Row, Section, Table, Value, interval, mean_of, number

_OTHERS = {
    "image_swap": "the same, given other studies' images",
    "best_constant": "best constant report",
    "references": "the reference reports: the labeler's own limit",
}
_SUMS = ("macro", "micro")
_SEVERAL = (
    "One seed: with its 95 % interval over studies in brackets; several: their mean ± standard "
    "deviation"
)

Found = Mapping[str, Any]  # what one writer's reports name: macro, micro, per_finding


@dataclass(frozen=True)
class Writer:
    """Whose reports: of a cell under each seed that is run, or of what bounds all cells."""

    name: str
    kind: str  # of its row
    found: Mapping[int | None, Found]  # by seed


def findings_table(ablations: Ablations) -> Section | None:
    """Macro and micro of the main cells, then F1 a finding; None where nothing has labels."""
    tables = [name for name, table in ablations.cells.tables.items() if table.findings]
    labelled = {
        cell: {
            run.seed: run.result
            for run in ablations.model(cell).done
            if run.result and "findings" in run.result.scores
        }
        for cell in ablations.cells.of_table(*tables)
    }
    labelled = {cell: results for cell, results in labelled.items() if results}
    if not labelled:
        return None
    full = labelled.get(FULL) or next(iter(labelled.values()))
    of_all = next(iter(full.values())).scores["findings"]  # alike in every result
    writers = _writers(ablations, labelled, full, of_all)
    return Section(
        "findings",
        f"Findings named in the reports: {ablations.ground()}",
        [
            _overall(ablations, writers, of_all["num_studies"], _right_attributes(full)),
            _each(ablations, writers, of_all["references"]["per_finding"]),
        ],
        [f"The labeler: {of_all['labeler']}.", "What is 0 / 0 has no score: –."],
        _records(ablations, writers),
    )


def _writers(
    ablations: Ablations, labelled: Mapping[str, Mapping[int, Result]],
    full: Mapping[int, Result], of_all: Found,
) -> list[Writer]:  # fmt: skip
    """Each cell, then what bounds them all."""
    writers = [
        Writer(
            ablations.title(cell),
            "control" if ablations.cells.show(cell).control else "ours",
            {seed: result.scores["findings"]["model"] for seed, result in results.items()},
        )
        for cell, results in labelled.items()
    ]
    swapped: dict[int | None, Found] = {
        seed: result.scores["findings"]["image_swap"] for seed, result in full.items()
    }
    writers.append(Writer(f"{_OTHERS['image_swap']} (the full model)", "floor", swapped))
    for bound in ("best_constant", "references"):
        writers.append(Writer(_OTHERS[bound], "floor", {None: of_all[bound]}))
    return writers


def _right_attributes(full: Mapping[int, Result]) -> list[Found]:
    """The full model's rates where a finding counts with its side, size and place alone."""
    told = [result.scores["findings"] for result in full.values()]
    return [found["with_attributes"]["model"] for found in told if "with_attributes" in found]


def _overall(
    ablations: Ablations, writers: Sequence[Writer], num_studies: int, attributes: list[Found]
) -> Table:
    head = ["reports of", *(f"{total} {kind}" for total in _SUMS for kind in KINDS)]
    rows = [
        Row(
            [
                writer.name,
                *(
                    _rate([found[total][kind] for found in writer.found.values()])
                    for total in _SUMS
                    for kind in KINDS
                ),
            ],
            writer.kind,
        )
        for writer in writers
    ]
    if attributes:
        cells = [*[Value(NONE)] * len(KINDS), *(_rate([a[k] for a in attributes]) for k in KINDS)]
        name = "the full model, side, size and place right as well"
        rows.insert(len(writers) - len(_OTHERS), Row([name, *cells]))
    caption = (
        f"{ablations.ground()}, {num_studies} of them with labels. {_SEVERAL}. Macro: the mean "
        "over findings; micro: all findings of all studies counted together."
    )
    return Table(head, rows, title="All findings together", caption=caption)


def _each(ablations: Ablations, writers: Sequence[Writer], references: Found) -> Table:
    rows = []
    for finding, facts in references.items():
        values = []
        for writer in writers:
            found = [f["per_finding"][finding] for f in writer.found.values()
                     if finding in f["per_finding"]]  # fmt: skip
            values.append(_rate([f["f1"] for f in found], found))
        rows.append(Row([finding, Value(str(facts["positives"])), *values]))
    return Table(
        ["finding", "studies with it", *(writer.name for writer in writers)],
        rows,
        title="F1 of each finding",
        caption=(
            f"{ablations.ground()}. {_SEVERAL}; then in how many reports the finding was named, "
            "and in how many of these rightly, on the mean of the seeds."
        ),
        folded=True,
    )


def _rate(values: Sequence[Mapping[str, float | None]], counts: Sequence[Found] = ()) -> Value:
    """Of all seeds that have one; with how often the finding was named, and rightly."""
    known = [value for value in values if value["score"] is not None]
    scores = [float(value["score"] or 0) for value in known]
    told = []
    if len(known) == 1 and (bounds := interval(known[0], ".2f")):
        told.append(bounds)
    if 0 < len(known) < len(values):
        told.append(f"{len(known)} of {len(values)} seeds")
    if counts:
        told.append(
            ", ".join(f"{mean(c[key] for c in counts):.0f}" for key in ("predicted", "hits"))
        )
    return Value(mean_of(scores, number).main, "; ".join(told))


def _records(ablations: Ablations, writers: Sequence[Writer]) -> list[dict[str, object]]:
    """One row a writer, seed and finding."""
    rows: list[dict[str, object]] = []
    for writer in writers:
        for seed, found in writer.found.items():
            named = {total: found[total] for total in _SUMS} | dict(found["per_finding"])
            for finding, rates in named.items():
                rows.append(
                    {
                        **ablations.about(),
                        "reports of": writer.name,
                        "seed": "" if seed is None else seed,
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
