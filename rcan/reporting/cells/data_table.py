"""Table 2: how large the data are, as found and as the paper counts them."""

from collections.abc import Mapping

from rcan.data.store import SPLITS
from rcan.reporting.cells.study import Ablations
from rcan.reporting.names import data_name
from rcan.reporting.published import misprints, published_table
from rcan.table import NONE, Row, Section, Table, Value

_ROWS = {"IMAGEs": "images", "REPORTs": "reports", "PATIENTs": "patients",
         "AVG.LEN": "average_length"}  # fmt: skip
_FOUND = {"images": "images", "reports": "studies", "average_length": "mean_tokens"}
_NOTES = [
    "As found: studies, images and mean tokens of the cleaned reports, full stops among them, in "
    "the processed data. Patients are not counted there.",
    "The paper says neither what it cleans nor how it counts a report's length.",
]


def data_table(ablations: Ablations) -> Section:
    """The paper's rows and columns, with a difference where the data set is the paper's."""
    ours, name = ablations.summary["splits"], data_name(ablations.data)
    paper = {(row["dataset"], row["split"]): row for row in published_table(2)}
    has_paper = (ablations.data, "train") in paper
    rows = []
    for label, column in _ROWS.items():
        row: list[object] = [label, *(_found(ours[split], column) for split in SPLITS)]
        if has_paper:
            row += [_printed(paper[ablations.data, split][column], column) for split in SPLITS]
            row += [_gap(ours[split], paper[ablations.data, split], column) for split in SPLITS]
        rows.append(Row(row))
    head = ["", *(f"{split}, as found" for split in SPLITS)]
    if has_paper:
        head += [f"{split}, the paper" for split in SPLITS]
        head += [f"{split}, as found − paper" for split in SPLITS]
    digest = ablations.summary["digest"]
    parts = [Table(head, rows, title="The data", caption=f"{name}, data digest {digest}.")]
    for dataset in dict.fromkeys(key for key, _ in paper):
        if dataset != ablations.data:
            parts.append(_elsewhere(paper, dataset, name))
    return Section(
        "table2", f"Table 2, data: {name}", parts, [*_NOTES, *misprints(2)],
        [*_records(ablations, ours), *_paper_records(paper, ablations.data)],
    )  # fmt: skip


def _elsewhere(
    paper: Mapping[tuple[str, str], Mapping[str, str]], dataset: str, name: str
) -> Table:
    rows = [
        Row(
            [label, *(_printed(paper[dataset, split][column], column) for split in SPLITS)], "paper"
        )
        for label, column in _ROWS.items()
    ]
    return Table(
        ["", *(f"{split}, the paper" for split in SPLITS)],
        rows,
        title=f"The paper's own numbers of {data_name(dataset)}: other data than above",
        caption=f"As printed in its Table 2. Nothing of them is in {name}.",
        folded=True,
    )


def _number(column: str, value: float) -> str:
    return f"{value:.2f}" if column == "average_length" else f"{int(value):,}"


def _found(split: Mapping[str, float], column: str) -> Value:
    known = split.get(_FOUND.get(column, ""))
    return Value("not counted" if known is None else _number(column, known))


def _printed(text: str, column: str) -> Value:
    return Value(_number(column, float(text)))


def _gap(split: Mapping[str, float], row: Mapping[str, str], column: str) -> Value:
    known = split.get(_FOUND.get(column, ""))
    if known is None:
        return Value(NONE)
    gap = known - float(row[column])
    told = f"{gap:+.2f}" if column == "average_length" else f"{int(gap):+,}"
    return Value(told.replace("-", "−"))


def _records(
    ablations: Ablations, ours: Mapping[str, Mapping[str, float]]
) -> list[dict[str, object]]:
    return [
        {"data": ablations.data, "source": "as found", "split": split,
         **{column: ours[split].get(_FOUND.get(column, "")) for column in _ROWS.values()},
         "commit": ablations.settings.commit, "command": ablations.settings.command}
        for split in SPLITS
    ]  # fmt: skip


def _paper_records(
    paper: Mapping[tuple[str, str], Mapping[str, str]], data: str
) -> list[dict[str, object]]:
    """The paper's row of the data set at hand alone."""
    return [
        {"data": dataset, "source": "the paper", "split": split,
         **{column: row[column] for column in _ROWS.values()}, "commit": "", "command": ""}
        for (dataset, split), row in paper.items()
        if dataset == data
    ]  # fmt: skip
