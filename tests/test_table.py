"""One table in every format, and numbers with what is known of their noise."""

import pytest

from rcan.table import (
    NONE,
    Row,
    Section,
    Table,
    Value,
    interval,
    mean_of,
    measured,
    number,
    percent,
)

HARSH = Section(
    "harsh", "100 % & more_or_less", [Table(["a#b", "λ"], [Row(["x_1 | y", Value("−0.1", "~2^")])],
    title="A {part}", caption="50 % of $5 & `code` <b>")], ["a\\b"],
)  # fmt: skip


def test_letters_that_a_format_takes_for_its_own_are_escaped():
    assert (
        r"x\_1 $|$ y & $-$0.1 {\scriptsize \textasciitilde{}2\textasciicircum{}} \\"
        in HARSH.latex()
    )
    assert r"50 \% of \$5 \& code $<$b$>$" in HARSH.latex()
    assert "x_1 \\| y" in HARSH.markdown()
    page = HARSH.html()
    assert "&lt;b&gt;" in page and "<b>" not in page and "<code>code</code>" in page


def test_columns_line_up_and_bars_in_cells_are_escaped():
    table = Table(["", "score"], [["a|b", "0.1"], ["longer name", "10.25"]])
    lines = table.markdown().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "a\\|b" in lines[2]


def test_in_a_terminal_words_stand_left_and_numbers_right():
    table = Table(["", "n", "told"], [["a", 7, "x"], ["long", Value("10", "[9, 11]"), "yes"]])
    assert table.text() == "               n  told\na              7  x\nlong  10 [9, 11]  yes"


def test_notes_of_a_table_stand_below_it_in_every_format():
    section = Section("s", "S", [Table(["a"], [["b"]], title="T", caption="C.", notes=["`n` <"])])
    assert "| b   |\n\n- `n` <\n" in section.markdown()
    assert "\\end{table}\n\\begin{itemize}\n\\item n $<$\n" in section.latex()
    assert '</table></div><ul class="notes"><li><code>n</code> &lt;</li></ul>' in section.html()


def test_records_are_kept_as_they_are():
    records = [{"a": 1, "b": None, "c": "x, y"}, {"a": None, "b": 0.1 + 0.2, "c": ""}]
    section = Section("s", "S", [], records=records)
    assert section.csv() == 'a,b,c\n1,,"x, y"\n,0.30000000000000004,\n'
    assert list(section.frame.columns) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"score": 0.5926, "low": 0.5, "high": 0.61}, "0.593 [0.500, 0.610]"),
        ({"score": 0.5926, "sd": 0.01, "low": 0.5, "high": 0.61}, "0.593 ± 0.010 [0.500, 0.610]"),
        ({"score": 0.5926}, "0.593"),
        ({"score": 0.5926, "low": None, "high": None}, "0.593"),
        ({"score": None, "low": None, "high": None}, NONE),
    ],
)
def test_a_score_is_told_with_what_is_known_of_it(value, wanted):
    assert str(measured(value)) == wanted


def test_a_difference_has_signs():
    value = {"difference": -0.02, "sd": 0.01, "low": -0.03, "high": 0.004}
    assert str(measured(value, "+.3f")) == "-0.020 ± 0.010 [-0.030, +0.004]"
    assert str(measured(value, "+.3f", minus="−")) == "−0.020 ± 0.010 [−0.030, +0.004]"
    assert interval(value, "+.2f") == "[-0.03, +0.00]"


def test_numbers_of_several_seeds_are_their_mean_and_spread():
    assert str(mean_of([], number)) == str(number(None)) == NONE
    assert str(mean_of([0.5], number)) == "0.500"
    assert str(mean_of([0.25, 0.75], percent)) == "50.0 % ± 35.4 %"
