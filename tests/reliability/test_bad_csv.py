"""Damaged or odd tables of Kaggle's copy: every row as it stands, or one line."""

from collections import Counter
from pathlib import Path

import pytest
from cases import GARBAGE, INSTEAD, attempt, damaged, put, seeded
from hypothesis import given
from hypothesis import strategies as st
from layouts import LISTED, kaggle_rows, table, write_kaggle

from rcan.data.iu_xray import read_iu_xray
from rcan.errors import UserError

KIND = "CSV"
NUMBERS = [study.number for study in LISTED]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_kaggle(tmp_path_factory.mktemp("kaggle"))


def cells_of(text: str) -> list[list[str]]:
    """A table of its own making: quotes, doubled quotes, and breaks within them; nothing else."""
    rows: list[list[str]] = []
    row, cell, quoted, place = [], "", False, 0
    while place < len(text):
        letter = text[place]
        if quoted and text.startswith('""', place):
            cell, place = cell + '"', place + 1
        elif letter == '"':
            quoted = not quoted
        elif quoted or letter not in ",\r\n":
            cell += letter
        elif letter == ",":
            row, cell = [*row, cell], ""
        else:
            place += text.startswith("\r\n", place)
            rows, row, cell = [*rows, [*row, cell]], [], ""
        place += 1
    if row or cell:
        rows.append([*row, cell])
    return rows


def read(path: Path) -> bool:
    """Whether it was read; then the findings are those of each number's first row."""
    data = attempt(lambda: read_iu_xray(path.parents[0], LISTED), str(path.parent))
    if data is None:
        return False
    cells = cells_of(path.read_bytes().decode("utf-8-sig"))
    header, *rows = [row for row in cells if any(cell.strip() for cell in row)]
    assert all(len(row) >= len(header) for row in rows)
    assert not any(cell.strip() for row in rows for cell in row[len(header) :])
    uid, findings = header.index("uid"), header.index("findings")
    first = {row[uid]: row[findings] for row in reversed(rows)}
    assert data.problems.counts.get("duplicate_id", 0) == len(rows) - len(first)
    missing = [study.id for study in LISTED if study.number not in first]
    assert data.problems.first.get("report_missing", []) == missing
    assert [study.report for study in data.studies] == [first.get(n, "") for n in NUMBERS]
    return True


def test_damaged_bytes(path, amount, figure):
    counted = Counter()

    @seeded(amount(40, 900))
    @given(damaged(table(kaggle_rows()).encode()))
    def of_bytes(content):
        path.write_bytes(content)
        counted[read(path)] += 1

    of_bytes()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


CELL = st.text(max_size=8) | st.sampled_from(['"', '""', ",", "\r", "\n", "\r\n", "\0", " ", "ä🫁"])


def test_every_table_that_is_written_is_read_cell_by_cell(path, amount, figure):
    counted = Counter()

    @seeded(amount(25, 600))
    @given(st.lists(st.tuples(st.sampled_from([*NUMBERS, "1", "x"]), CELL, CELL), max_size=8))
    def of_cells(cells):
        rows = [["uid", "MeSH", "findings"], [NUMBERS[0], "", "Clear."], *map(list, cells)]
        path.write_text(table(rows), encoding="utf-8", errors="replace", newline="")
        assert read(path)
        counted["cases"] += 1

    of_cells()
    figure("bad input", KIND, counted.total())


ROW = f"{NUMBERS[0]},Clear."
WRONG = {
    "a cell short": f"uid,findings\n{NUMBERS[0]}", "a cell more": f"uid,findings\n{ROW},x",
    "an open quote": f'uid,findings\n{NUMBERS[0]},"Clear.\n{ROW}', "no rows": "uid,findings\n",
    "a column twice": f"uid,findings,uid\n{ROW},2", "no column": f"uid,Findings\n{ROW}",
    "a stray quote": f'uid,findings\n{NUMBERS[0]},"Cl"ear.', "semicolons": f"uid;findings\n{ROW}",
    "tabs": f"uid\tfindings\n{ROW}", "a comment": f"# x\nuid,findings\n{ROW}",
    "a nameless column twice": f"uid,findings,,\n{ROW},1,2",
}  # fmt: skip
RIGHT = {
    "a mark of byte order": f"\ufeffuid,findings\n{ROW}", "old breaks": f"uid,findings\r{ROW}\r",
    "a long cell": f"uid,findings\n{NUMBERS[0]},{'x' * 300_000}",
    "zero bytes": f"uid,findings\n{NUMBERS[0]},a\0b", "no end": f"uid,findings\n{ROW}",
    "columns turned": f"findings,uid\nClear.,{NUMBERS[0]}",
    "an empty line": f"uid,findings\n\n{ROW}", "an empty first line": f"\r\nuid,findings\r\n{ROW}",
    "empty rows": f"uid,findings\n , \n{ROW}\n,\n,", "empty cells": f"uid,findings\n{ROW},, ",
    "empty columns": f"uid,,findings,,\n{NUMBERS[0]},,Clear.,,",
    "a nameless column": f",uid,findings\n0,{ROW}",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_ragged_or_foreign_table_is_one_line(path, text, figure):
    path.write_text(WRONG[text], encoding="utf-8", newline="")
    assert not read(path)
    figure("bad input", KIND, 1)


@pytest.mark.parametrize("text", RIGHT)
def test_an_unusual_table_is_read_whole(path, text, figure):
    path.write_text(RIGHT[text], encoding="utf-8", newline="")
    assert read(path)
    figure("bad input", KIND, 1)


def test_garbage(path, figure):
    for content in GARBAGE:
        path.write_bytes(content)
        assert not read(path), content[:80]
    figure("bad input", KIND, len(GARBAGE))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(path, instead, figure):
    put(path, instead)
    assert not read(path)
    assert not path.with_name("ran").exists()
    put(path, "nothing")
    figure("bad input", KIND, 1)


def test_other_marks_than_commas_are_named(path):
    for content, name in ((WRONG["semicolons"], "semicolons"), (WRONG["tabs"], "tabs")):
        path.write_text(content)
        with pytest.raises(UserError, match=f"header: expected commas between cells, found {name}"):
            read_iu_xray(path.parents[0], LISTED)


def test_a_column_that_stands_twice_is_told_by_its_places(path):
    path.write_text(WRONG["a column twice"])
    with pytest.raises(UserError, match=r"found one twice \(columns 1 and 3\)"):
        read_iu_xray(path.parents[0], LISTED)
