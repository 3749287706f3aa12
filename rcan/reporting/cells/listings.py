"""Which rows Tables 3 to 5, the grid behind Figure 5 and the table of readings have: those of the
paper, and the cells that run them again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rcan.ablation.cells import FULL, cell_of
from rcan.dotted import flatten
from rcan.reporting.cells.runs import MAIN
from rcan.reporting.cells.study import Ablations
from rcan.reporting.published import (
    METRICS,
    TABLES,
    misprints,
    printed_rows,
    public_runs,
    scores_of_row,
)
from rcan.table import NONE

_LENGTH_TEST = (
    "Length test: `rcan audit` tells from a log's BLEU-1 to -4 how many words were written. `One "
    "report`: on validation and on test these are a multiple of the studies, with one quotient, as "
    "one report for every study gives. No log of the cited rows' own trainings was found."
)
_OF_A_RUN = ("train.seed", "visual.weights")  # its seed; the plan's path, of which it keeps a name


@dataclass(frozen=True)
class Line:
    """One line of a table: its first columns, our cell, and the scores that somebody published."""

    keys: tuple[str, ...]
    cell: str | None = None
    published: Mapping[str, float | None] | None = None  # on the data set at hand
    source: str = "the paper"
    cell_keys: tuple[str, ...] | None = None  # the cell's own first columns, if they are others

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The first columns of our rows: what we ran may not be what the paper names."""
        return self.cell_keys or self.keys


@dataclass(frozen=True)
class Listing:
    """What makes one table of scores different from another."""

    name: str
    title: str
    columns: Sequence[str]  # heads of the first columns
    lines: Sequence[Line]
    minus: Sequence[str]  # cells that all others are compared with
    notes: Sequence[str]

    @property
    def cells(self) -> list[str]:
        return list(dict.fromkeys(line.cell for line in self.lines if line.cell))


def listings(ablations: Ablations) -> list[Listing]:
    """Every table of scores in the register's order, the readings last."""
    return [*(_listing(ablations, name) for name in ablations.cells.tables), _readings(ablations)]


def _listing(ablations: Ablations, name: str) -> Listing:
    told = ablations.cells.tables[name]
    lines = list(_lines(ablations, name))
    notes, runs = [*told.notes], public_runs(name)
    for run in runs:
        notes.append(f"Somebody else's {run['model']}: {run['chosen_by']}; {run['source']}.")
    notes += [_LENGTH_TEST] if runs else []
    notes += misprints(int(name[-1])) if name in TABLES else []
    return Listing(name, told.title, told.columns, lines, told.minus, notes)


def _lines(ablations: Ablations, name: str) -> Iterator[Line]:
    """The paper's rows on these data in its order, each with our cell; then our other cells."""
    left, runs = ablations.cells.of_table(name), public_runs(name)
    for row in printed_rows(name, ablations.data):
        scores = scores_of_row(row)
        cell = next((cell for cell in left if _repeats(ablations, cell, name, row)), None)
        source = "the paper" if row.get("model", "RCAN") == "RCAN" else "the paper, cited"
        own = ablations.cells.show(cell).row.get(name) if cell else None
        yield Line(keys_of(row), cell, scores, source, own)
        left = [other for other in left if other != cell]
        for run in runs:
            if _of(row) == _of(run):
                about = (
                    f"somebody else's run, epoch {run['epoch']}; length test: {run['length_test']}"
                )
                yield Line((run["model"], about), None, scores_of_row(run), "its public log")
    for cell in left:
        told = ablations.cells.show(cell)
        # Of a table that the paper does not print: what it prints elsewhere of the same model.
        printed = ablations.printed(told.printed_as) if name not in TABLES else None
        yield Line(told.row[name], cell, printed)


def _repeats(ablations: Ablations, cell: str, table: str, row: Mapping[str, str]) -> bool:
    wanted = ablations.cells.show(cell).paper.get(table)
    return wanted is not None and all(row[key] == value for key, value in wanted.items())


def _of(row: Mapping[str, str]) -> tuple[str | None, str]:
    return row.get("model"), row["dataset"]


def keys_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """What the columns before the scores say."""
    told = [value for key, value in row.items() if key not in ("dataset", *METRICS)]
    return tuple({"1": "✓", "0": NONE}.get(text, text) for text in told)


def _readings(ablations: Ablations) -> Listing:
    """Every other reading of the paper, one at a time."""
    cells = [Line((cell, _what_changes(ablations, cell)), cell)
             for cell in ablations.cells.of_readings]  # fmt: skip
    return Listing(
        "readings",
        "Readings, how much each matters",
        ("reading", "settings"),
        [Line((FULL, "as docs/readings.md has it"), FULL), *cells],
        (FULL,),
        ["Each reading changes the full model in the settings named, and in nothing else."],
    )


def _what_changes(ablations: Ablations, cell: str) -> str:
    """`wcl.denominator = all (not negatives)`, or of which cell it is the same."""
    model = ablations.model(cell)
    if not model.runs:
        return model.not_run
    settings, place = model.runs[0].settings, model.runs[0].place
    if settings is None:
        return f"the same as {ablations.title(FULL if place == MAIN else cell_of(place))}"
    of_full = ablations.model(FULL).results
    if not of_full:
        return NONE
    own, full = flatten(settings), flatten(of_full[0].config)
    changed = [
        f"{key} = {_told(value)} (not {_told(full[key])})"
        for key, value in own.items()
        if key in full and key not in _OF_A_RUN and value != full[key]
    ]
    return "; ".join(changed) or "the same settings"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else f"{value}"
