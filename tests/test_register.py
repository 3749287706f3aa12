"""The register of cells: which table and figure shows which, and the paper's rows for them."""

import re

import pytest
import yaml
from imports import TOP, sources

from rcan.ablation.cells import CELLS, CONTROLS, FIGURES, FULL, PAPER, load_cells
from rcan.errors import UserError
from rcan.reporting.published import METRICS, TABLES, printed_rows, published_row

REGISTER = load_cells(TOP / CELLS)


def printed(data, cell, table=None):
    rows = REGISTER.show(cell).paper
    name = table or next(iter(rows), "table4")
    return published_row(data, name, rows.get(name, {"rve": "none"}))


@pytest.mark.parametrize(
    ("cell", "bleu_4"),
    [
        ("rve", 0.162), ("cgm", 0.160), ("wcl", 0.158), ("rve_cgm", 0.176), ("rve_wcl", 0.158),
        ("cgm_wcl", 0.170), ("rcan", 0.186), ("tau_0.05", 0.172), ("tau_0.07", 0.165),
        ("tau_0.1", 0.186), ("tau_0.15", 0.169), ("tau_0.2", 0.165), ("r2gencmn", 0.170),
    ],
)  # fmt: skip
def test_a_cell_has_the_row_that_the_paper_prints_for_it(cell, bleu_4):
    assert printed("iu_xray", cell)["BLEU-4"] == bleu_4


@pytest.mark.parametrize(
    ("cell", "bleu_4"),
    [
        ("nic", 0.084), ("adaatt", 0.088), ("att2in_scst", 0.096), ("updown_grid", 0.092),
        ("cmcl_transformer", 0.097), ("r2gen", 0.103), ("r2gencmn", 0.106), ("ppked_style", 0.106),
        ("clinicalbert_style", 0.106), ("asgmd_causal", 0.112), ("rcan", 0.118),
    ],
)  # fmt: skip
def test_a_cell_has_the_row_of_table_3_that_is_printed_for_mimic_cxr(cell, bleu_4):
    assert printed("mimic_cxr", cell, "table3")["BLEU-4"] == bleu_4


@pytest.mark.parametrize("cell", ["sat", "hrgr_auto_templates", "coatt", "cmas_style"])
def test_a_cell_whose_system_is_printed_for_iu_xray_alone_has_no_row_of_mimic_cxr(cell):
    assert printed("iu_xray", cell, "table3") and printed("mimic_cxr", cell, "table3") is None


@pytest.mark.parametrize("table", ["table4", "table5"])
def test_every_row_of_tables_4_and_5_belongs_to_one_cell(table):
    cells = REGISTER.of_table(table)
    rows = [tuple(printed("iu_xray", cell, table).values()) for cell in cells]
    assert len(set(rows)) == len(cells) == len(printed_rows(table, "iu_xray"))


@pytest.mark.parametrize("table", TABLES)
def test_what_a_row_of_the_paper_is_found_by_finds_one(table):
    for cell in REGISTER.of_table(table):
        wanted = REGISTER.show(cell).paper.get(table)
        found = [
            [
                row
                for row in printed_rows(table, data)
                if wanted and all(row[key] == value for key, value in wanted.items())
            ]
            for data in ("iu_xray", "mimic_cxr")  # Up-Down has a row of the second alone
        ]
        assert max(map(len, found)) == (wanted is not None), cell


def test_the_grid_of_lambda_has_nine_cells_cross_entropy_alone_and_the_full_model():
    cells = REGISTER.of_table("fig5")
    assert len(cells) == 11 and cells[0] == "ce_only" and cells[-1] == FULL
    assert [REGISTER.show(cell).row["fig5"] for cell in cells[1:-1]] == [
        (f"0.{tenths}",) for tenths in range(1, 10)
    ]


@pytest.mark.parametrize(
    ("data", "cell"),
    [("demo", "rve"), ("iu_xray", "lambda_0.7"), ("iu_xray", "blind"), ("mimic_cxr", "tau_0.1")],
)
def test_what_the_paper_does_not_print_has_no_row(data, cell):
    assert printed(data, cell) is None


def test_figures_have_the_papers_columns():
    assert REGISTER.of_figure("fig4") == ["r2gencmn", "r2gencmn_rve", "rcan"]
    assert REGISTER.of_figure("fig6") == ["transformer", "r2gencmn", "rcan"]


def test_all_that_is_shown_is_a_cell_and_all_that_is_named_is_known():
    cells = {cell.name for cell in REGISTER.cells}
    assert set(REGISTER.shown) == cells | CONTROLS.keys()
    for told in REGISTER.shown.values():
        assert told.printed_as in {"", *cells}
    for table in REGISTER.tables.values():
        assert set(table.minus) <= cells


@pytest.mark.parametrize("table", PAPER)
def test_what_a_row_is_found_by_are_the_columns_of_the_papers_tables(table):
    columns = {*printed_rows(table, "iu_xray")[0]} - {"dataset", "citation", *METRICS}
    assert set(PAPER[table]) == columns and set(PAPER) == set(TABLES)


def test_the_figures_that_a_cell_may_stand_in_are_those_that_ask_for_cells():
    calls = [re.findall(r"\.of_figure\((.*?)\)", path.read_text("utf-8")) for path in sources()]
    assert {name for found in calls for name in found} == {f'"{name}"' for name in FIGURES}


def paper(**rows) -> dict:
    """A cell that repeats these rows of the paper, as `shown` tells of it."""
    return {"nic": {"title": "NIC", "paper": rows}}


def minus(*cells) -> dict:
    """A table whose cells are compared with these."""
    return {"t": {"title": "T", "columns": ["a"], "minus": [*cells]}}


@pytest.mark.parametrize(
    ("where", "content", "said"),
    [
        ("tables", [], "tables: expected an object"),
        ("tables", {"t": {}}, "tables, t: expected 'title'"),
        ("tables", {"t": {"title": "T", "columns": ["a"], "minus": [], "x": 1}}, "got x"),
        ("shown", {"a": {}}, "shown, a: expected 'title'"),
        ("shown", {"a": {"title": 3}}, "shown, a, title: expected a text"),
        ("shown", {"a": {"title": "A", "colour": "red"}}, "colour: expected a text like #"),
        ("shown", {"a": {"title": "A", "tilte": "A"}}, "got tilte"),
        ("shown", {"a": {"title": "A", "row": {"t": ["x"]}}}, "row: expected a table"),
        ("shown", {"a": {"title": "A", "row": {"table5": ["x", "y"]}}}, "row: expected a table"),
        ("shown", {"a": {"title": "A", "paper": {"table5": 3}}}, "paper, table5: expected"),
        ("shown", paper(table3={"modle": "NIC"}), "table3 by model or .*; got table3 by modle; m"),
        ("shown", paper(table4={"rve": 1}), "table4 by rve, cgm, wcl or .*; got table4 by rve; m"),
        ("shown", paper(table5={}), "table5 by tau; got table5 by nothing; mend it"),
        ("shown", paper(tabel3={"model": "NIC"}), "shown, nic, paper: .*; got tabel3 by model; m"),
        ("shown", paper(fig5={"tau": 0.1}), "got fig5 by tau; mend it"),
        ("shown", {"a": {"title": "A", "figures": ["fig4", "fig5"]}}, "fig4 or fig6, got fig5; m"),
        ("shown", {"a": {"title": "A", "printed_as": "rcna"}}, "shown, a, printed_as: .*got rcna"),
        ("shown", {"a": {"title": "A", "printed_as": "rve_cgn"}}, "did you mean rve_cgm"),
        ("tables", minus("rcan", "transfromer"), "tables, t, minus: .*did you mean transformer"),
        ("tables", minus("best"), "expected a cell of this file, got best; mend it"),
    ],
)
def test_a_register_that_is_none_is_one_clear_error(tmp_path, where, content, said):
    raw = yaml.safe_load((TOP / CELLS).read_text(encoding="utf-8"))
    path = tmp_path / "cells.yaml"
    path.write_text(yaml.safe_dump({**raw, "shown": {}, where: content}), encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        load_cells(path)
    assert "cells.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_row_of_a_mistyped_cell_is_told_and_that_of_one_taken_out_may_stay(tmp_path):
    raw = yaml.safe_load((TOP / CELLS).read_text(encoding="utf-8"))
    path, row = tmp_path / "cells.yaml", raw["shown"].pop("adaatt")
    path.write_text(yaml.safe_dump({**raw, "shown": raw["shown"] | {"adatt": row}}))
    with pytest.raises(UserError, match=r"shown: .*got adatt; did you mean adaatt\?"):
        load_cells(path)
    del raw["cells"]["adaatt"]
    raw["shown"]["adaatt"] = row
    raw["shown"]["nic"]["printed_as"] = "adaatt"  # what has a row may be named, a control too
    raw["tables"]["table3"]["minus"] += ["adaatt", "oracle_template"]
    path.write_text(yaml.safe_dump(raw))
    assert "adaatt" in load_cells(path).shown
