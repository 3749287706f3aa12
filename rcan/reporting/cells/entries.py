"""Tables of scores: a row of the paper, and the cell that runs it again, one beside the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rcan.reporting.cells.controls import controls_part
from rcan.reporting.cells.provenance import provenance
from rcan.reporting.cells.records import records
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.wording import (
    FLOORS,
    cell_name,
    ground,
    lead,
    not_run,
    seeds,
    theirs,
)
from rcan.reporting.groups import FULL
from rcan.reporting.published import METRICS, rcan_row
from rcan.table import NONE, Row, Section, Table, Value, measured, number

Published = Mapping[str, float | None]


@dataclass(frozen=True)
class Entry:
    """One line of a table: its first columns, our cell, and the scores that somebody published."""

    keys: tuple[str, ...]
    cell: str | None = None
    published: Published | None = None  # on the data set at hand
    source: str = "the paper"


@dataclass(frozen=True)
class Contents:
    """What makes one table of scores different from another."""

    name: str
    title: str
    columns: tuple[str, ...]  # heads of the first columns
    entries: Sequence[Entry]
    elsewhere: Sequence[Table] = ()  # the paper's numbers on other data
    notes: Sequence[str] = ()
    bases: Sequence[str] = (FULL,)  # cells that all others are compared with

    @property
    def cells(self) -> list[str]:
        return [entry.cell for entry in self.entries if entry.cell]


def scores_table(ablations: Ablations, contents: Contents) -> Section:
    """Scores under both protocols, differences between cells, and what to run for them."""
    compared = {
        (base, protocol): ablations.compared(contents.cells, protocol, base)
        for base in contents.bases
        for protocol in ("strict", "paper")
    }
    parts = [
        _scores(ablations, contents, "paper"),
        controls_part(ablations, _done(ablations, contents)),
        _scores(ablations, contents, "strict"),
        *(_differences(ablations, contents, *key, leads) for key, leads in compared.items()),
        *contents.elsewhere,
        provenance(ablations, contents.cells),
    ]
    return Section(
        contents.name,
        f"{contents.title}: {ground(ablations)}",
        [part for part in parts if part.rows],
        contents.notes,
        records(ablations, contents, compared),
    )


def _done(ablations: Ablations, contents: Contents) -> list[str]:
    """The cells with results; of the others the scores' part has told."""
    return [cell for cell in dict.fromkeys(contents.cells) if ablations.model(cell).results]


def _scores(ablations: Ablations, contents: Contents, protocol: str) -> Table:
    rows = []
    for entry in contents.entries:
        if entry.published and protocol == "paper":
            kind = "paper" if entry.source == "the paper" else "cited"
            rows.append(
                Row(
                    [
                        *entry.keys,
                        entry.source,
                        *(number(entry.published.get(metric)) for metric in METRICS),
                    ],
                    kind,
                )
            )
        if entry.cell:
            rows.append(_own_row(ablations, entry, protocol))
            if entry.published and protocol == "paper":
                rows += _minus_paper(ablations, entry)
    blank = [NONE] * (len(contents.columns) - 1)
    for floor, values in ablations.floors(protocol).items():
        numbers = [measured(values[metric]) for metric in METRICS]
        rows.append(Row([FLOORS[floor], *blank, "floor, no model", *numbers], "floor"))
    several = any(len(ablations.model(cell).done) > 1 for cell in contents.cells)
    return Table(
        [*contents.columns, "scores of", *METRICS],
        rows,
        title=f"Scores, {protocol} protocol",
        caption=f"{ground(ablations, protocol)}. {_what_a_score_is(several)}"
        f"{_beside(ablations, protocol)}",
        folded=protocol == "strict",
    )


def _what_a_score_is(several: bool) -> str:
    seed = "The mean over seeds ± their standard deviation" if several else "One seed"
    return (
        f"{seed}; 95 % interval over studies in brackets. Floors are one report given to every "
        "study: put together from sentences of train to score best on validation, and the most "
        "frequent of train."
    )


def _beside(ablations: Ablations, protocol: str) -> str:
    if protocol == "strict":
        return " References are the whole cleaned reports; the paper has no such scores."
    if rcan_row(ablations.data) is None:
        return " The paper has no such data, so none of its numbers stands here."
    return (
        f" The paper's rows ({theirs(ablations.data)}) come without intervals. `ours − paper`: "
        "inside or outside says where the paper's value lies to our interval over studies; † where "
        "our seeds differ by as much."
    )


def _own_row(ablations: Ablations, entry: Entry, protocol: str) -> Row:
    model = ablations.model(entry.cell or "")
    if not model.results:
        return Row([*entry.keys, f"ours: {not_run(ablations, model)}", *["not run"] * 6], "missing")
    values = ablations.scores[model.cell, protocol]
    numbers = [measured(values[metric]) for metric in METRICS]
    return Row(
        [*entry.keys, f"ours, {seeds(model)}", *numbers],
        "control" if entry.cell == "blind" else "ours",
    )


def _minus_paper(ablations: Ablations, entry: Entry) -> list[Row]:
    values = ablations.scores.get((entry.cell or "", "paper"))
    if not values:
        return []
    told = []
    for metric in METRICS:
        printed = (entry.published or {}).get(metric)
        if printed is None:
            told.append(Value(NONE))
        else:
            value = values[metric]
            inside = value["low"] <= printed <= value["high"]
            off = value["score"] - printed
            seeds_differ_more = not inside and abs(off) <= value.get("sd", 0.0)
            word = "inside" if inside else "outside†" if seeds_differ_more else "outside"
            told.append(Value(f"{number(off, '+.3f', minus='−')}", word))
    return [Row([*entry.keys, "ours − paper", *told], "difference")]


def _differences(
    ablations: Ablations, contents: Contents, base: str, protocol: str,
    compared: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Table:  # fmt: skip
    whole = "the full model" if base == FULL else f"the {cell_name(base)}"
    rows = []
    for entry in contents.entries:
        if entry.cell and entry.cell in compared:
            model = ablations.model(entry.cell)
            numbers = [lead(compared[entry.cell][metric]) for metric in METRICS]
            rows.append(Row([*entry.keys, seeds(model), *numbers]))
    caption = (
        f"{ground(ablations, protocol)}. Each cell minus {whole} ({base}), the "
        "same seeds and studies on both sides; 95 % interval by a paired bootstrap over studies; "
        f"p of approximate randomisation, corrected (Holm) for the {len(rows) * len(METRICS)} "
        f"tests of this part. {_noise(ablations, compared)}"
    )
    return Table(
        [*contents.columns, "seeds", *METRICS],
        rows,
        title=f"Differences from {whole}, {protocol} protocol",
        caption=caption,
        folded=protocol == "paper",
    )


def _noise(ablations: Ablations, compared: Mapping[str, object]) -> str:
    if any(len(ablations.model(cell).done) > 1 for cell in compared):
        return (
            "`*`: beyond the noise of studies (p under 0.05) and larger than the standard "
            "deviation over seeds, ±; `†`: beyond the noise of studies, yet less than seeds "
            "differ. A row with 1 seed knows nothing of the noise of seeds."
        )
    return (
        "`*`: beyond the noise of studies (p under 0.05). With one seed the noise of seeds is "
        "unknown: another seed may move a score by more than any difference here."
    )
