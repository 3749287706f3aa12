"""Cells of the paper's tables and figures, and the paper's rows for them."""

import pytest

from rcan.reporting.groups import FIG_5, TABLE_4, TABLE_5, published_row


@pytest.mark.parametrize(
    ("cell", "bleu_4"),
    [
        ("rve", 0.162), ("cgm", 0.160), ("wcl", 0.158), ("rve_cgm", 0.176), ("rve_wcl", 0.158),
        ("cgm_wcl", 0.170), ("rcan", 0.186), ("tau_0.05", 0.172), ("tau_0.07", 0.165),
        ("tau_0.1", 0.186), ("tau_0.15", 0.169), ("tau_0.2", 0.165), ("r2gencmn", 0.170),
    ],
)  # fmt: skip
def test_a_cell_has_the_row_that_the_paper_prints_for_it(cell, bleu_4):
    assert published_row("iu_xray", cell)["BLEU-4"] == bleu_4


def test_every_row_of_tables_4_and_5_belongs_to_one_cell():
    for cells in (TABLE_4, TABLE_5):
        rows = [tuple(published_row("iu_xray", cell).values()) for cell in cells]
        assert len(set(rows)) == len(cells)
    assert len(TABLE_4) == 7 and len(TABLE_5) == 5 and len(FIG_5) == 10


@pytest.mark.parametrize(
    ("data", "cell"),
    [("demo", "rve"), ("iu_xray", "lambda_0.7"), ("iu_xray", "blind"), ("mimic_cxr", "tau_0.1")],
)
def test_what_the_paper_does_not_print_has_no_row(data, cell):
    assert published_row(data, cell) is None
