"""Rows of printed scores -> which of them belong to one report, the same for every study."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rcan.audit.length import Corpus, Solution, solve
from rcan.audit.logs import Row

ONE, ONE_ON_ONE, VARIED = "one report", "one report (one split)", "lengths differ"
CAUTION = (
    "A lower bound on collapse, no proof of wrongdoing: a row that is not `one report` may still"
    " have a handful of reports, and a log is a record of development, not what was published."
)


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
