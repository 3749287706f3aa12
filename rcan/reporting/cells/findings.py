"""Findings that reports name, against the studies' labels: precision, recall and F1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from rcan.ablation.cells import FULL
from rcan.evaluation.schema import KINDS, SUMS
from rcan.reporting.cells.study import Ablations
from rcan.table import NONE, Row, Section, Table, Value, interval, mean_of, number

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
    found: Mapping[int | str, Found]  # by seed


def findings_table(ablations: Ablations) -> Section | None:
    """Macro and micro of the main cells, then F1 a finding; None where nothing has labels."""
    tables = [name for name, table in ablations.cells.tables.items() if table.findings]
    told: dict[str, dict[int | str, Found]] = {}  # cell -> seed -> what its evaluation found
    for cell in ablations.cells.of_table(*tables):
        for run in ablations.model(cell).done:
            if run.result and "findings" in run.result.scores:
                told.setdefault(cell, {})[run.seed] = run.result.scores["findings"]
    if not told:
        return None
    full = told.get(FULL) or next(iter(told.values()))
    of_all = next(iter(full.values()))  # its floor and references are alike in every result
    cells = [
        Writer(
            ablations.title(cell),
            "control" if ablations.cells.show(cell).control else "ours",
            {seed: found["model"] for seed, found in by_seed.items()},
        )
        for cell, by_seed in told.items()
    ]
    swapped = {seed: found["image_swap"] for seed, found in full.items()}
    bounds = [
        Writer("the same, given other studies' images (the full model)", "floor", swapped),
        Writer("best constant report", "floor", {"": of_all["best_constant"]}),
        Writer(
            "the reference reports: the labeler's own limit", "floor", {"": of_all["references"]}
        ),
    ]
    attributes = [found["with_attributes"]["model"] for found in full.values()
                  if "with_attributes" in found]  # fmt: skip
    writers = [*cells, *bounds]
    rows = [_row(writer) for writer in writers]
    if attributes:
        rates = [_rate([a[kind] for a in attributes]) for kind in KINDS]
        name = "the full model, side, size and place right as well"
        rows.insert(len(cells), Row([name, *[Value(NONE)] * len(KINDS), *rates]))
    overall = Table(
        ["reports of", *(f"{total} {kind}" for total in SUMS for kind in KINDS)],
        rows,
        title="All findings together",
        caption=f"{ablations.scope()}, {of_all['num_studies']} of them with labels. {_SEVERAL}. "
        "Macro: the mean over findings; micro: all findings of all studies counted together.",
    )
    return Section(
        "findings",
        f"Findings named in the reports: {ablations.scope()}",
        [overall, _each(ablations, writers, of_all["references"]["per_finding"])],
        [f"The labeler: {of_all['labeler']}.", "What is 0 / 0 has no score: –."],
        _records(ablations, writers),
    )


def _row(writer: Writer) -> Row:
    every = list(writer.found.values())
    rates = [_rate([found[total][kind] for found in every]) for total in SUMS for kind in KINDS]
    return Row([writer.name, *rates], writer.kind)


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
        caption=f"{ablations.scope()}. {_SEVERAL}; then in how many reports the finding was "
        "named, and in how many of these rightly, on the mean of the seeds.",
        folded=True,
    )


def _rate(values: Sequence[Mapping[str, float | None]], counts: Sequence[Found] = ()) -> Value:
    """Of all seeds that have one; with how often the finding was named, and rightly."""
    known = [value for value in values if value["score"] is not None]
    told = [interval(known[0], ".2f")] if len(known) == 1 else []
    if 0 < len(known) < len(values):
        told.append(f"{len(known)} of {len(values)} seeds")
    if counts:
        means = [mean(of_seed[key] for of_seed in counts) for key in ("predicted", "hits")]
        told.append(f"{means[0]:.0f}, {means[1]:.0f}")
    scores = [value["score"] or 0.0 for value in known]
    return Value(mean_of(scores, number).main, "; ".join(filter(None, told)))


def _records(ablations: Ablations, writers: Sequence[Writer]) -> list[dict[str, object]]:
    """One row a writer, seed and finding."""
    ends = {"score": "", "low": ", low", "high": ", high"}
    return [
        {
            **ablations.about(),
            "reports of": writer.name,
            "seed": seed,
            "finding": finding,
            **{key: rates.get(key) for key in ("positives", "predicted", "hits")},
            **{f"{kind}{end}": rates[kind][key] for kind in KINDS for key, end in ends.items()},
        }
        for writer in writers
        for seed, found in writer.found.items()
        for finding, rates in {**{s: found[s] for s in SUMS}, **found["per_finding"]}.items()
    ]
