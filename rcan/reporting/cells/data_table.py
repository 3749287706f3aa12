"""Table 2: how large the data are, as found and as the paper counts them."""

from collections.abc import Mapping, Sequence

from rcan.data.store import SPLITS
from rcan.reporting.cells.study import Ablations
from rcan.reporting.names import data_name
from rcan.reporting.published import misprints, published_table
from rcan.table import Row, Section, Table, Value, number

_ROWS = {  # the paper's name -> its column, what the processed data call it, how it is told
    "IMAGEs": ("images", "images", ",.0f"),
    "REPORTs": ("reports", "studies", ",.0f"),
    "PATIENTs": ("patients", "", ",.0f"),
    "AVG.LEN": ("average_length", "mean_tokens", ",.2f"),
}
_NOTES = [
    "As found: studies, images and mean tokens of the cleaned reports, full stops among them, in "
    "the processed data. Patients are not counted there.",
    "The paper says neither what it cleans nor how it counts a report's length.",
]


def data_table(ablations: Ablations) -> Section:
    """The paper's rows and columns, with a difference where the data set is the paper's."""
    summary, name = ablations.summary, data_name(ablations.data)
    paper: dict[str, list[dict[str, str]]] = {}
    for line in published_table(2):
        paper.setdefault(line["dataset"], []).append(line)
    theirs = paper.pop(ablations.data, [])
    rows, records = [], [_record(ablations, "as found", split) for split in SPLITS]
    for label, (column, known, form) in _ROWS.items():
        found = [summary["splits"][split].get(known) for split in SPLITS]
        told = [Value("not counted") if n is None else number(n, form) for n in found]
        gaps = [
            number(None if n is None else n - float(line[column]), f"+{form}", minus="−")
            for n, line in zip(found, theirs or found, strict=True)
            if theirs
        ]
        rows.append(Row([label, *told, *_printed(theirs, column, form), *gaps]))
        for record, n in zip(records, found, strict=True):
            record[column] = "" if n is None else n
    for record in records:
        record |= {"commit": ablations.settings.commit, "command": ablations.settings.command}
    for line in theirs:
        of_paper = {column: line[column] for column, *_ in _ROWS.values()}
        empty = {"commit": "", "command": ""}
        records.append({**_record(ablations, "the paper", line["split"]), **of_paper, **empty})
    whose = ("as found", "the paper", "as found − paper") if theirs else ("as found",)
    return Section(
        "table2",
        f"Table 2, data: {name}",
        [
            Table(
                ["", *(f"{split}, {of}" for of in whose for split in SPLITS)],
                rows,
                title="The data",
                caption=f"{name}, data digest {summary['digest']}.",
            ),
            *(_elsewhere(dataset, lines, name) for dataset, lines in paper.items()),
        ],
        [*_NOTES, *misprints(2)],
        records,
    )


def _elsewhere(dataset: str, lines: Sequence[Mapping[str, str]], name: str) -> Table:
    return Table(
        ["", *(f"{line['split']}, the paper" for line in lines)],
        [Row([label, *_printed(lines, column, form)], "paper")
         for label, (column, _, form) in _ROWS.items()],
        title=f"The paper's own numbers of {data_name(dataset)}: other data than above",
        caption=f"As printed in its Table 2. Nothing of them is in {name}.",
        folded=True,
    )  # fmt: skip


def _printed(lines: Sequence[Mapping[str, str]], column: str, form: str) -> list[Value]:
    return [number(float(line[column]), form) for line in lines]


def _record(ablations: Ablations, source: str, split: str) -> dict[str, object]:
    return {"data": ablations.data, "source": source, "split": split}
