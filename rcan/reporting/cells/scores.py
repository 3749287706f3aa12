"""Scores of the cells beside the paper's: Tables 3 to 5, the grid behind Figure 5, the readings;
differences between cells, and what each number comes from."""

from collections.abc import Iterator, Mapping, Sequence

from rcan.ablation.cells import FULL
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.schema import FLOOR_NAMES
from rcan.reporting.cells.controls import controls_part
from rcan.reporting.cells.listings import Line, Listing, keys_of, listings
from rcan.reporting.cells.records import Firsts, records
from rcan.reporting.cells.runs import Run
from rcan.reporting.cells.study import CONSTANT, SIGNIFICANT, Ablations, Values
from rcan.reporting.names import data_name
from rcan.reporting.published import (
    METRICS,
    TABLES,
    num_reports,
    published_table,
    rcan_row,
    scores_of_row,
)
from rcan.table import NONE, Row, Section, Table, Value, measured, number, percent


def scores_sections(ablations: Ablations) -> list[Section]:
    """Every table of scores in the register's order, the readings last."""
    return [scores_section(ablations, listing) for listing in listings(ablations)]


def scores_section(ablations: Ablations, listing: Listing) -> Section:
    """Scores under both protocols, differences between cells, and what to run for them."""
    bases = [*listing.minus, CONSTANT] if ablations.floor_counts else listing.minus
    compared = {
        (base, protocol): ablations.compared(listing.cells, protocol, base)
        for base in bases
        for protocol in ("strict", "paper")
    }
    firsts = {protocol: ablations.firsts(listing.cells, protocol) for protocol in PROTOCOLS}
    done = [cell for cell in listing.cells if ablations.model(cell).results]
    tables = [
        _scores(ablations, listing, "paper"),
        _firsts(ablations, listing, firsts),
        controls_part(ablations, done),  # of the others the scores have told
        _scores(ablations, listing, "strict"),
        *(_differences(ablations, listing, *key, leads) for key, leads in compared.items()),
        *_elsewhere(ablations, listing),
        _provenance(ablations, listing.cells),
    ]
    return Section(
        listing.name,
        f"{listing.title}: {ablations.scope()}",
        [table for table in tables if table.rows],
        listing.notes,
        records(ablations, listing, compared, firsts),
    )


def _scores(ablations: Ablations, listing: Listing, protocol: str) -> Table:
    rows = []
    for line in listing.lines:
        printed = line.published if protocol == "paper" else None
        if printed:
            kind = "paper" if line.source == "the paper" else "cited"
            theirs = map(number, printed.values())
            rows.append(Row([*line.keys, line.source, *theirs], kind))
        if line.cell:
            rows.append(_own_row(ablations, line, protocol))
            if printed and ablations.model(line.cell).results:
                values = ablations.scores[line.cell, protocol]
                told = [_minus_printed(values[metric], printed[metric]) for metric in METRICS]
                rows.append(Row([*line.own_keys, "ours − paper", *told], "difference"))
    blank = [NONE] * (len(listing.columns) - 1)
    for floor, of_floor in ablations.floors(protocol).items():
        numbers = [measured(of_floor[metric]) for metric in METRICS]
        rows.append(Row([FLOOR_NAMES[floor], *blank, "floor, no model", *numbers], "floor"))
    several = any(len(ablations.model(cell).done) > 1 for cell in listing.cells)
    seed = "The mean over seeds ± their standard deviation" if several else "One seed"
    return Table(
        [*listing.columns, "scores of", *METRICS],
        rows,
        title=f"Scores, {protocol} protocol",
        caption=f"{ablations.scope(protocol)}. {seed}; 95 % interval over studies in brackets. "
        "Floors are one report given to every study: put together from sentences of train to score "
        f"best on validation, and the most frequent of train.{_beside(ablations, protocol)}",
        folded=protocol == "strict",
    )


def _firsts(ablations: Ablations, listing: Listing, firsts: Firsts) -> Table:
    """Empty where no two rows can be compared."""
    heads = [f"{of}, {p}" for p in sorted(PROTOCOLS) for of in ("of systems", "of all rows")]
    rows, trained = [], set()
    for line in listing.lines:
        if line.cell and (results := ablations.model(line.cell).results):
            trained.add(tuple(result.place for result in results))
            kind = "control" if ablations.cells.show(line.cell).control else "ours"
            seeds = ablations.model(line.cell).seeds
            rows.append(Row([*line.own_keys, seeds, *_shares(firsts, line.cell)], kind))
    blank = [NONE] * (len(listing.columns) - 1)
    for floor in next(iter(ablations.floor_counts.values()), {}):
        told = [FLOOR_NAMES[floor], *blank, "floor, no model", *_shares(firsts, floor)]
        rows.append(Row(told, "floor"))
    return Table(
        [*listing.columns, "seeds", *heads],
        rows if len(trained) > 1 else [],  # equal cells are one
        title="How often each row ranks first, BLEU-4",
        caption=f"{ablations.scope()}. In {ablations.settings.resamples:,} bootstrap draws of the "
        "studies, the same for all rows, each row with one of its seeds drawn by chance: how often "
        "its BLEU-4 is the highest of all. Of systems: without controls and floors. Equal rows "
        "share. A row that is first in fewer than 95 % of the draws is not shown to be the best.",
    )


def _shares(firsts: Firsts, name: str) -> list[Value]:
    """Under each protocol, of the systems and of all rows."""
    found = [shares.get(name) for p in sorted(PROTOCOLS) for shares in firsts[p]]
    return [Value(NONE if share is None else percent(share)) for share in found]


def _own_row(ablations: Ablations, line: Line, protocol: str) -> Row:
    model = ablations.model(line.cell or "")
    if not model.results:
        return Row(
            [*line.own_keys, f"ours: {model.not_run}", *[model.missing] * len(METRICS)], "missing"
        )
    values = ablations.scores[model.cell, protocol]
    numbers = [measured(values[metric]) for metric in METRICS]
    kind = "control" if ablations.cells.show(model.cell).control else "ours"
    return Row([*line.own_keys, f"ours, {model.seeds}", *numbers], kind)


def _minus_printed(value: Mapping[str, float], printed: float | None) -> Value:
    """Our score minus the paper's, and where that lies to our interval."""
    if printed is None:
        return Value(NONE)
    off, word = value["score"] - printed, "inside"
    if not value["low"] <= printed <= value["high"]:
        word = "outside†" if abs(off) <= value.get("sd", 0.0) else "outside"
    return Value(number(off, "+.3f", minus="−").main, word)


def _beside(ablations: Ablations, protocol: str) -> str:
    if protocol == "strict":
        return " References are the whole cleaned reports; the paper has no such scores."
    if rcan_row(ablations.data) is None:
        return " The paper has no such data, so none of its numbers stands here."
    return (
        f" The paper's rows ({_theirs(ablations.data)}) come without intervals. `ours − paper`: "
        "inside or outside says where the paper's value lies to our interval over studies; † where "
        "our seeds differ by as much."
    )


def _theirs(name: str) -> str:
    """Whose studies the paper's rows were scored on."""
    return f"{data_name(name)}, {num_reports(name, 'test'):,} test reports by its Table 2"


def _differences(
    ablations: Ablations, listing: Listing, base: str, protocol: str, compared: Mapping[str, Values]
) -> Table:
    known = {FULL: "the full model", CONSTANT: f"the {FLOOR_NAMES[CONSTANT]}"}
    whole = known.get(base) or f"the {ablations.title(base)}"
    rows = [
        Row([*line.own_keys, _shared_seeds(ablations, line.cell, base),
             *(_lead(compared[line.cell][metric]) for metric in METRICS)])
        for line in listing.lines
        if line.cell and line.cell in compared
    ]  # fmt: skip
    if any(len(ablations.model(cell).done) > 1 for cell in compared):
        noise = (
            "`*`: beyond the noise of studies (p under 0.05) and larger than the standard "
            "deviation over seeds, ±; `†`: beyond the noise of studies, yet less than seeds "
            "differ. A row with 1 seed knows nothing of the noise of seeds."
        )
    else:
        noise = (
            "`*`: beyond the noise of studies (p under 0.05). With one seed the noise of seeds is "
            "unknown: another seed may move a score by more than any difference here."
        )
    return Table(
        [*listing.columns, "seeds", *METRICS],
        rows,
        title=f"Differences from {whole}, {protocol} protocol",
        caption=f"{ablations.scope(protocol)}. Each cell minus {whole} ({base}), "
        f"{'all' if base == CONSTANT else 'the same'} seeds and the same studies on both sides; "
        "95 % interval by a paired bootstrap over studies; p of approximate randomisation, "
        f"corrected (Holm) for the {len(rows) * len(METRICS)} tests of this part. {noise}",
        folded=protocol == "paper",
    )


def _shared_seeds(ablations: Ablations, cell: str, base: str) -> str:
    """Of how many seeds the difference is."""
    model, of_base = ablations.model(cell), {run.seed for run in ablations.model(base).done}
    if base == CONSTANT:
        return model.seeds
    shared = sum(run.seed in of_base for run in model.done)
    return model.seeds if shared == len(model.done) else f"{shared} of {len(model.done)} seeds"


def _lead(value: Mapping[str, float]) -> Value:
    """A difference with its interval and Holm's p; `*` where it is beyond the noise of studies, `†`
    where it is and seeds differ more."""
    told, mark = measured(value, "+.3f", minus="−"), ""
    if value["p"] < SIGNIFICANT:
        mark = "†" if value.get("sd", 0.0) > abs(value["difference"]) else "*"
    return Value(f"{told.main}{mark}", f"{told.small}; p {value['p']:.3f}")


def _elsewhere(ablations: Ablations, listing: Listing) -> Iterator[Table]:
    """The paper's rows on data sets other than the one at hand, each data set a table."""
    if listing.name not in TABLES:
        return
    num, ours = int(listing.name[-1]), ablations.data
    rows = published_table(num)
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        if dataset != ours:
            yield Table(
                [*list(rows[0])[1 : -len(METRICS)], "scores of", *METRICS],
                [
                    Row([*keys_of(row), "the paper", *map(number, scores_of_row(row).values())],
                        "paper")
                    for row in rows if row["dataset"] == dataset
                ],
                title=f"The paper's own numbers on {data_name(dataset)}: other data than above",
                caption=f"{_theirs(dataset)}; as printed in its Table {num}. Nothing of ours was "
                f"scored on these data here, and {data_name(ours)} cannot be compared with them.",
                folded=True,
            )  # fmt: skip


def _provenance(ablations: Ablations, cells: Sequence[str]) -> Table:
    """Which training, code and command each number comes from, one row a run."""
    runs = [run for cell in cells for run in ablations.model(cell).runs]
    return Table(
        ["run", "trained as", "key", "epoch", "length penalty", "parameters", "minutes", "on",
         "commit"],
        [_source(ablations, run) for run in runs],
        title="Where each number comes from",
        caption=f"{ablations.scope()}. A training's key names its settings, data, tokenizer and "
        "code; its last bits follow from the processor that it ran on; the commit is that of the "
        "code which made the tables. The epoch of a control is the offset that validation "
        "chose, by its number. Parameters: those that are trained, in millions. Minutes: of "
        "training, validation not counted; published runs alone know them. Below: what trains and "
        "scores each of them.",
        notes=ablations.commands(runs),
        folded=True,
    )  # fmt: skip


def _source(ablations: Ablations, run: Run) -> Row:
    if not run.result:
        told = f"not run: {run.why_missing}" if run.why_missing else "not run"
        return Row([run.name, told, *["not run"] * 7], "missing")
    scores, parameters = run.result.scores, run.result.best.get("parameters")
    return Row(
        [
            run.name,
            "itself" if run.place == run.name else run.place,
            scores["run"][:12],
            str(scores["epoch"]),
            f"{scores['length_penalty']:g}",
            number(parameters and parameters / 1e6, ".2f"),
            number(ablations.minutes_of(run.result), ".0f"),
            run.result.best.get("trained_on", "not told"),
            ablations.settings.commit,
        ]
    )
