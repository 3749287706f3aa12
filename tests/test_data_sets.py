"""Each line of the register of data sets is one module that brings all that is asked of a set."""

from typing import get_args

import pytest
from imports import TOP

from rcan.config.resolve import PROFILES
from rcan.config.sections import Data
from rcan.data.sets import DEMO, REAL, TITLES, DataSet, data_set


def test_the_register_is_what_params_yaml_may_name():
    assert set(get_args(Data.model_fields["name"].annotation)) == set(TITLES) == {DEMO, *REAL}
    assert set(PROFILES) == {*TITLES, "paper", "small"}


@pytest.mark.parametrize("name", TITLES)
def test_every_data_set_is_a_module_with_all_that_is_asked_of_one(name):
    assert TITLES[name]
    found = data_set(name)
    assert isinstance(found, DataSet)
    assert found.clean("Clear.") == "clear ."
    assert found.what.endswith(".") and found.terms.endswith(".")
    assert found.min_freq >= 1 and found.max_length >= 2


@pytest.mark.parametrize("name", TITLES)
def test_no_other_code_lists_the_data_sets(name):
    """Whoever adds one edits none of it: a name stands in the register, in the set's own files and
    where one set alone is meant."""
    of_one = {
        "iu_xray": {  # what is the default, what its split is counted by, ReXrank
            "rcan/audit/length.py", "rcan/cli/audit.py", "rcan/cli/scoring.py",
            "rcan/evaluation/labelers.py", "rcan/reporting/beside.py", "rcan/scoring/rexrank.py",
            "rcan/settings_table.py",
        },
    }  # fmt: skip
    for path in TOP.glob("rcan/**/*.py"):
        place = path.relative_to(TOP).as_posix()
        is_its_own = place.startswith("rcan/data/sets/") or name in path.stem
        if name != DEMO and not is_its_own and place not in of_one.get(name, ()):
            assert f'"{name}"' not in path.read_text(encoding="utf-8"), place
