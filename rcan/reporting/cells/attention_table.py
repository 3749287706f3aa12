"""Figure 4 as numbers: how much of the attention for a finding's word falls on the finding."""

from collections.abc import Mapping
from pathlib import Path

from rcan.ablation.cells import cell_of
from rcan.reading import read_csv, read_text
from rcan.reporting.cells.study import Ablations
from rcan.reporting.consistency import require_agreement
from rcan.table import NONE, Row, Section, Table, Value, measured

COMMON = "all that every model names"  # as the stage cases writes it
_WHAT, _REMEDY = "where the models look", "run `dvc repro ablations/dvc.yaml:cases`"
_WORDS = {"first": "the first word of its sentence", "name": "the finding's name"}
_COLUMNS = {"data": str, "run": str, "word": str, "finding": str, "words": int}


def attention_table(ablations: Ablations, path: Path) -> Section | None:
    """The findings that every model names, a row a run and word; None where nothing is measured."""
    if not path.is_file() or len(read_text(path, _WHAT, _REMEDY).splitlines()) < 2:
        return None
    measured = read_csv(path, _COLUMNS, _WHAT, _REMEDY)
    require_agreement(
        {"the tables": {"data set": ablations.data}}
        | {f"{path}, row {n}": {"data set": row["data"]} for n, row in enumerate(measured, 1)}
    )
    rows = [row for row in measured if row["finding"] == COMMON and row["words"] != "0"]
    if not rows:
        return None
    part = Table(
        ["model", "attention for", "findings", "times even attention", "times all words"],
        [_row(ablations, row) for row in rows],
        title="Attention on the finding's own place",
        caption=(
            f"{ablations.scope()}. Findings that a report rightly names, the same for all models. "
            "How many times the share that the place would get if all patches weighed the same, "
            "and the share that it gets from all words of the report: 1 is no looking there. 95 % "
            "intervals over studies."
        ),
    )
    title = f"Figure 4, where models look: {ablations.scope()}"
    return Section("fig4", title, [part], (), measured)


def _row(ablations: Ablations, row: Mapping[str, str]) -> Row:
    title = ablations.title(cell_of(row["run"]))
    word = _WORDS.get(row["word"], row["word"])
    numbers = [_times(row, "times_even"), _times(row, "times_all_words")]
    return Row([f"{title} ({row['run']})", word, Value(row["words"]), *numbers])


def _times(row: Mapping[str, str], name: str) -> Value:
    ends = {"score": name, "low": f"{name}_low", "high": f"{name}_high"}
    found = {key: float(row[column]) for key, column in ends.items() if row.get(column)}
    return measured(found, ".2f") if len(found) == len(ends) else Value(NONE)
