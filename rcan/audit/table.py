"""What the length test found, for a terminal: a line a row, then how often, then what it means."""

from collections.abc import Mapping
from typing import Any

from rcan.audit.verdict import ONE, ONE_ON_ONE, VARIED
from rcan.table import Table, Value, number

SPLITS = ("val", "test")


def audit_table(result: Mapping[str, Any]) -> str:
    """A line a row: where it stands, mean words of a report on each split, the verdict."""
    rows = [
        [
            row["place"],
            Value(row["epoch"][:7]),
            *(_length(row.get(split)) for split in SPLITS),
            row["verdict"],
        ]
        for row in result["rows"]
    ]
    table = Table(["", "epoch", "val words", "test words", "verdict"], rows).text()
    return "\n".join([table, "", *_summary(result), result["about"]])


def _summary(result: Mapping[str, Any]) -> list[str]:
    references = ", ".join(
        f"{split} {held['studies']} studies and {held['words']} words"
        for split, held in result["references"].items()
    )
    told = []
    for counts, what in ((result["verdicts"], "rows"), (result["vectors"], "different scores")):
        one = counts.get(ONE, 0) + counts.get(ONE_ON_ONE, 0)
        decided = one + counts.get(VARIED, 0)
        open_ = ", ".join(
            f"{number} {verdict}"
            for verdict, number in counts.items()
            if verdict not in (ONE, ONE_ON_ONE, VARIED)
        )
        told.append(
            f"{one} of {decided} decided {what}: one report for every study"
            + (f" ({open_})" if open_ else "")
        )
    if result["verdicts"].get(ONE_ON_ONE):
        told.append(
            f"{result['verdicts'][ONE_ON_ONE]} of them by one split alone, where chance gives one"
            " row in as many as there are studies"
        )
    return [f"References: {references}", *told]


def _length(found: Mapping[str, Any] | None) -> Value:
    if not found:
        return Value("-")
    return number(found["mean_length"], ".2f") if "mean_length" in found else Value("?")
