"""Rows of printed scores -> which of them belong to one report, the same for every study.

`audit_table` tells it in a terminal: a line a row, then how often, then what it means.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rcan.audit.length import Corpus, Solution, solve
from rcan.audit.logs import Row
from rcan.table import Table, Value, number

ONE, ONE_ON_ONE, VARIED = "one report", "one report (one split)", "lengths differ"
CAUTION = (
    "A lower bound on collapse, no proof of wrongdoing: a row that is not `one report` may still"
    " have a handful of reports, and a log is a record of development, not what was published."
)
SPLITS = ("val", "test")


def audit(rows: Sequence[Row], corpora: Mapping[str, Corpus]) -> dict[str, Any]:
    """What the length test finds in each row, and how often.

    Args:
        corpora: split -> the references that were scored against; a split without is not judged.

    Returns:
        `rows`: place, epoch, `verdict`, and for each split `status`, `words`, `mean_length`,
        `whole` (whether all words are a multiple of the studies), `matches`.
        `verdicts`: verdict -> number of rows; `vectors`: the same of different sets of scores.
    """
    known: dict[tuple[str, tuple[str, ...]], Solution] = {}
    found = []
    vectors: dict[tuple[tuple[str, ...], ...], str] = {}
    for row in rows:
        splits: dict[str, Any] = {}
        printed = []
        for split, corpus in corpora.items():
            vector = row.vector(split)
            printed.append(tuple(vector or ()))
            if vector:
                key = (split, tuple(vector))
                if key not in known:
                    known[key] = solve(vector, corpus)
                splits[split] = _told(known[key], corpus)
        verdict = judge(splits)
        vectors[tuple(printed)] = verdict
        found.append({"place": row.place, "epoch": row.epoch, "verdict": verdict, **splits})
    return {
        "about": CAUTION,
        "references": {
            split: {"studies": corpus.num_studies, "words": corpus.reference_words}
            for split, corpus in corpora.items()
        },
        "verdicts": dict(Counter(row["verdict"] for row in found)),
        "vectors": dict(Counter(vectors.values())),
        "rows": found,
    }


def judge(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """One verdict of the splits that a row has.

    `one report` needs validation and test, each with words a multiple of its studies and one
    quotient for both: by chance that is so of one row in N². With one split alone it is one in N.
    A split that is not solved leaves the row open, unless the other shows that lengths differ.
    """
    if not splits:
        return "no scores"
    solved = [found for found in splits.values() if found["status"] == "solved"]
    if any(not found["whole"] for found in solved):
        return VARIED
    if len({found["mean_length"] for found in solved}) > 1:
        return VARIED
    unsolved = [found["status"] for found in splits.values() if found["status"] != "solved"]
    if unsolved:
        return str(unsolved[-1])
    return ONE if len(solved) > 1 else ONE_ON_ONE


def _told(solution: Solution, corpus: Corpus) -> dict[str, Any]:
    if solution.words is None:
        return {"status": solution.status}
    return {
        "status": solution.status,
        "words": solution.words,
        "mean_length": solution.words / corpus.num_studies,
        "whole": solution.words % corpus.num_studies == 0,
        "matches": list(solution.matches),
    }


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
