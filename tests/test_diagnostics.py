import re

import pytest

from rcan.errors import UserError
from rcan.evaluation.diagnostics import diagnostics, is_collapsed, verdict


def test_diagnostics_counted_by_hand():
    found = diagnostics(
        ["lungs clear .", "lungs  clear .", "heart normal", "spine"],
        ["lungs clear .", "lungs clear .", "heart large .", "spine ."],
        ["lungs clear .", "spine"],
    )
    assert found == {
        "num_studies": 4,
        "distinct_reports": 3,
        "top_share": 0.5,
        "mean_length": 9 / 4,
        "reference_mean_length": 11 / 4,
        "copied_from_train": 0.75,
    }


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (["a"] * 98 + ["b", "c"], "collapsed: 98 % of 100 studies got the same report"),
        (["a"] * 5, "collapsed: 100 % of 5 studies got the same report"),
        ([str(i % 4) for i in range(100)], "collapsed: 100 studies share 4 reports"),
        ([str(i % 5) for i in range(100)], "varied: 100 studies got 5 different reports, .* 20 %"),
        (["a", "a", "b", "c"], "collapsed: 50 % of 4 studies got the same report"),
        (["a", "a", "b", "c", "d"], "varied: 5 studies got 4 different reports, .* 40 %"),
        (["a"], "varied: every one of 1 studies"),
        (["a", "b"], "varied: every one of 2 studies"),
    ],
)
def test_the_verdict_says_whether_it_collapsed(predictions, expected):
    found = diagnostics(predictions, predictions, [])
    assert re.match(expected, verdict(found))
    assert is_collapsed(found) == expected.startswith("collapsed")


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["a"], [])])
def test_bad_input_is_told(predictions, references):
    with pytest.raises(UserError, match="expected"):
        diagnostics(predictions, references, [])
