"""Tables 2 to 5, the λ grid behind Figure 5, and how much the readings of the paper matter."""

from collections.abc import Callable, Sequence

from rcan.reporting.cells.entries import Contents, Entry, scores_table
from rcan.reporting.cells.readings import what_changes
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.table2 import data_table
from rcan.reporting.cells.wording import data_name, theirs
from rcan.reporting.groups import FIG_5, FULL, TABLE_4, TABLE_5, published_row
from rcan.reporting.published import (
    METRICS,
    independent_run,
    misprints,
    published_table,
    scores_of_row,
)
from rcan.table import NONE, Row, Section, Table
from rcan.table import number as told

MODULES = ("rve", "cgm", "wcl")
_PAPERS_LAMBDA = "lambda_0.7"  # where Fig. 5 has the best BLEU-4: RCAN as published
_RERUN = {"R2GenCMN": "r2gencmn", "RCAN": FULL}  # a model of Table 3 -> the cell that runs it


def all_tables(ablations: Ablations) -> list[Section]:
    """Every table of scores, in the paper's order; the controls are apart."""
    made: list[Callable[[Ablations], Section]] = [data_table, table_3, table_4, table_5]
    return [make(ablations) for make in (*made, lambda_grid, readings_table)]


def table_3(ablations: Ablations) -> Section:
    """Ours beside all systems that the paper cites."""
    entries, run = [], independent_run()
    for row in published_table(3):
        if row["dataset"] == ablations.data:
            cell = _RERUN.get(row["model"])
            source = "the paper" if row["model"] == "RCAN" else "the paper, cited"
            entries.append(Entry((row["model"], row["citation"]), cell, scores_of_row(row), source))
            if (row["dataset"], row["model"]) == (run["dataset"], run["model"]):
                keys = (run["model"], f"somebody else's run, epoch {run['epoch']}")
                entries.append(Entry(keys, None, scores_of_row(run), "its public log"))
    known = {entry.cell for entry in entries}
    for cell, name, about in (
        ("transformer", "Transformer", "RCAN without its three modules"),
        ("blind", "Transformer without images", "the control of all others"),
        ("r2gencmn", "R2GenCMN", "RCAN's code with its memory as R2GenCMN's"),
        ("r2gencmn_rve", "R2GenCMN + RVE", "the second model of Fig. 4"),
        (FULL, "RCAN", "the full model"),
    ):
        if cell not in known:
            entries.append(Entry((name, about), cell))
    return scores_table(
        ablations,
        Contents(
            "table3",
            "Table 3, models",
            ("model", "what it is"),
            entries,
            _elsewhere(3, ("model", "citation"), ablations.data),
            [
                f"Somebody else's {run['model']}: {run['chosen_by']}; {run['source']}.",
                *misprints(3),
            ],
            (FULL, "transformer"),
        ),
    )


def table_4(ablations: Ablations) -> Section:
    """The three modules on and off."""
    entries = [
        Entry(
            tuple("✓" if cell == FULL or m in cell.split("_") else NONE for m in MODULES),
            cell,
            published_row(ablations.data, cell),
        )
        for cell in TABLE_4
    ]
    columns = ("RVE", "CGM", "WCL")
    elsewhere = _elsewhere(4, MODULES, ablations.data)
    bases = (FULL, "transformer")
    contents = Contents("table4", "Table 4, modules", columns, entries, elsewhere, (), bases)
    return scores_table(ablations, contents)


def table_5(ablations: Ablations) -> Section:
    """The temperature τ of the contrastive loss."""
    entries = [
        Entry((cell.removeprefix("tau_"),), cell, published_row(ablations.data, cell))
        for cell in TABLE_5
    ]
    elsewhere = _elsewhere(5, ("tau",), ablations.data)
    return scores_table(ablations, Contents("table5", "Table 5, τ", ("τ",), entries, elsewhere))


def lambda_grid(ablations: Ablations) -> Section:
    """The numbers behind Figure 5, which prints none of its own."""
    entries = []
    for cell in FIG_5:
        # What the paper prints elsewhere of the same two models.
        twin = {"ce_only": "rve_cgm", _PAPERS_LAMBDA: FULL}.get(cell)
        published = published_row(ablations.data, twin) if twin else None
        value = "CE alone" if cell == "ce_only" else cell.removeprefix("lambda_")
        entries.append(Entry((value,), cell, published))
    entries.append(Entry(("the full model's",), FULL))
    notes = [
        "λ weights cross-entropy, 1 − λ the contrastive loss (Eq. 24). Fig. 5 prints no numbers; "
        "its text has BLEU-4 best at 0.7, METEOR and ROUGE-L at 0.6. What stands here as the "
        "paper's is Table 4's RVE + CGM (CE alone) and RCAN (λ = 0.7).",
    ]
    contents = Contents("fig5", "Figure 5, λ", ("λ",), entries, (), notes)
    return scores_table(ablations, contents)


def readings_table(ablations: Ablations) -> Section:
    """Every other reading of the paper, one at a time."""
    entries = [Entry((name, what_changes(ablations, name)), name) for name in ablations.readings]
    entries.insert(0, Entry((FULL, "as docs/readings.md has it"), FULL))
    notes = ["Each reading changes the full model in the settings named, and in nothing else."]
    return scores_table(
        ablations,
        Contents(
            "readings",
            "Readings, how much each matters",
            ("reading", "settings"),
            entries,
            (),
            notes,
        ),
    )


def _elsewhere(number: int, columns: Sequence[str], data: str) -> list[Table]:
    """The paper's rows on data sets other than the one at hand, each data set a part."""
    parts = []
    for dataset in dict.fromkeys(row["dataset"] for row in published_table(number)):
        rows = [
            Row([*(_key(row[c]) for c in columns), "the paper",
                 *(told(score) for score in scores_of_row(row).values())], "paper")
            for row in published_table(number)
            if row["dataset"] == dataset
        ]  # fmt: skip
        if dataset != data:
            parts.append(
                Table(
                    [*columns, "scores of", *METRICS],
                    rows,
                    title=f"The paper's own numbers on {data_name(dataset)}: other data than above",
                    caption=f"{theirs(dataset)}; as printed in its Table {number}. Nothing of ours "
                    f"was scored on these data here, and {data_name(data)} cannot be compared with "
                    "them.",
                    folded=True,
                )
            )
    return parts


def _key(text: str) -> str:
    return {"1": "✓", "0": NONE}.get(text, text)
