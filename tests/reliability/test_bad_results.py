"""Processed data whose summary vouches for what was edited, and reports of odd results."""

import json
from collections import Counter

import pytest
from cases import attempt, edited, seeded
from formats_of_results import (
    RECORDS,
    REMEDY,
    ROWS,
    lines,
    write_results,
    write_split,
)  # fmt: skip
from formats_of_results import (
    read_split as read,
)
from hypothesis import given

from rcan.data.store import open_split
from rcan.files import digest_of, sha256_of
from rcan.reporting.report import write_report


@pytest.fixture
def folder(tmp_path):
    write_split(tmp_path)
    return tmp_path


def test_edited_studies_also_with_a_summary_that_vouches_for_them(folder, amount, figure):
    counted = Counter()
    path = folder / "val.jsonl"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    @seeded(amount(25, 800))
    @given(edited(RECORDS))
    def of_values(records):
        path.write_text(lines(records), encoding="utf-8", newline="")
        counted["unvouched"] += records != RECORDS and read(folder)
        files = summary["files"] | {"val.jsonl": sha256_of(path)}
        vouched = summary | {"files": files, "digest": digest_of(files)}
        (folder / "summary.json").write_text(json.dumps(vouched), encoding="utf-8")
        split = attempt(lambda: open_split(folder, "val"), str(folder), REMEDY)
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        counted[split is not None] += 1
        if split is not None:
            check_studies(split, records)

    def check_studies(split, records):
        """A well-formed edit is read as it stands."""
        assert [study.id for study in split.studies] == [record["id"] for record in records]
        assert [study.text for study in split.studies] == [record["text"] for record in records]
        rows = [view.row for study in split.studies for view in study.views]
        assert rows == [view["row"] for record in records for view in record["views"]]
        assert all(type(row) is int and 0 <= row < ROWS for row in rows) and len(rows) == 7
        assert split.view_rows(2).shape == (4, 2)

    of_values()
    assert counted[True] and counted[False] and not counted["unvouched"]
    figure("bad input", "processed data", 2 * (counted[True] + counted[False]))


WHOLE = {  # edits that still make results, odd as they are
    "words of other alphabets": {"model": "心 RVE ä 🫁 \u202e", "signature": "½"},
    "mathematics": {"model": "$x^2$ $\\frac{$", "data": "a$b", "signature": "\\alpha $"},
    "marks of Markdown": {"model": "`*_<b>#|[", "signature": "|||\n# x"},
    "a score outside its interval": {},
}


@pytest.mark.parametrize("edit", WHOLE)
def test_an_odd_but_whole_report_is_written(edit, tmp_path, amount, figure):
    amount(edit == "mathematics", True)  # four figures each
    write_results(tmp_path)
    path, run = tmp_path / "evaluation/scores.json", tmp_path / "run/config.json"
    scores = json.loads(path.read_bytes()) | WHOLE[edit]
    if "data" in WHOLE[edit]:  # which summary.json and config.json must tell as well
        for told, name in (
            (tmp_path / "processed/summary.json", scores["data"]),
            (run, {"name": scores["data"]}),
        ):
            key = "name" if told != run else "data"
            told.write_text(json.dumps(json.loads(told.read_bytes()) | {key: name}))
    if not WHOLE[edit]:
        scores["protocols"]["strict"]["model"]["BLEU-4"] |= {"score": 0.5, "low": 0.6, "high": 0.4}
    path.write_text(json.dumps(scores), encoding="utf-8")
    write_report(
        evaluation=path.parent, run=run.parent, processed=tmp_path / "processed",
        out=tmp_path, command="dvc repro",
    )  # fmt: skip
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert scores["model"] in page and (tmp_path / "scores.png").stat().st_size > 10_000
    figure("bad input", "results", 1)
