"""The paper's published numbers, as printed in its Tables 2 to 5 (files under `paper/`).

X. Hou, X. Li, Z. Liu, S. Sang, M. Lu, Y. Zhang: Recalibrated cross-modal alignment network for
radiology report generation with weakly supervised contrastive learning. The tables stand in
§4.1.1 (Table 2: data), §4.2 (Table 3: models), §4.3 (Table 4: modules), §4.6 (Table 5: tau).
Beside them: what others measured, and what cannot be right in the tables.
"""

import csv
from collections.abc import Mapping
from importlib.resources import files

from rcan.evaluation.scores import METRICS as METRICS  # for those that may know this module alone

TABLES = ("table3", "table4", "table5")  # of scores
RCAN_SOURCE = "RCAN, Table 3 (§4.2)"


def published_table(number: int) -> list[dict[str, str]]:
    """The rows of Table 2, 3, 4 or 5 as text; a score that the paper does not give is empty."""
    return _read(f"table{number}")


def public_runs(table: str) -> list[dict[str, str]]:
    """Somebody else's trainings of rows of a table (`table3`): the scores that a public log has of
    the epoch that validation chose, where it lies, and what `rcan audit` tells from the lengths."""
    return [row for row in _read("public_runs") if row["table"] == table]


def misprints(number: int) -> list[str]:
    """What cannot be right in a table as printed, and where that is seen."""
    return [row["note"] for row in _read("misprints") if row["table"] == str(number)]


def scores_of_row(row: Mapping[str, str]) -> dict[str, float | None]:
    """The scores in a row over METRICS; None where the paper prints none."""
    return {metric: float(row[metric]) if row[metric] else None for metric in METRICS}


def printed_rows(table: str, data_name: str) -> list[dict[str, str]]:
    """The rows of a table (`table4`) on one data set; none of a table that the paper has not."""
    if table not in TABLES:
        return []
    return [row for row in _read(table) if row["dataset"] == data_name]


def published_row(
    data_name: str, table: str, wanted: Mapping[str, str]
) -> dict[str, float | None] | None:
    """The scores in the row of a table (`table4`) whose other columns say what is wanted, e.g. rve
    1, cgm 0, wcl 0; None where the paper prints none."""
    for row in printed_rows(table, data_name):
        if all(row[key] == value for key, value in wanted.items()):
            return scores_of_row(row)
    return None


def rcan_row(data_name: str) -> dict[str, float] | None:
    """The paper's own RCAN scores over METRICS; None for data that the paper does not have."""
    row = published_row(data_name, "table3", {"model": "RCAN"})
    return {metric: score for metric, score in row.items() if score is not None} if row else None


def num_reports(data_name: str, split: str) -> int | None:
    """How many reports the paper's Table 2 counts in a split; None for data it does not have."""
    for row in published_table(2):
        if (row["dataset"], row["split"]) == (data_name, split):
            return int(row["reports"])
    return None


def _read(name: str) -> list[dict[str, str]]:
    file = files("rcan.reporting").joinpath("paper", f"{name}.csv")
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
