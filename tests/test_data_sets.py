"""A data set has its name, its cleaner, its terms and its sizes wherever one is asked for."""

from typing import get_args

import pytest

from rcan.cli.options import Data
from rcan.config.resolve import PROFILES
from rcan.config.sections import Data as DataSettings
from rcan.reporting.cells.wording import DATA
from rcan.scoring.score_reports import MAX_LENGTH, MIN_FREQ
from rcan.sharing.sources import NAMES, TERMS, WHAT
from rcan.text.cleaning import CLEANERS

SETS = set(get_args(DataSettings.model_fields["name"].annotation))


@pytest.mark.parametrize(
    "known",
    [CLEANERS, DATA, NAMES, WHAT, TERMS, MIN_FREQ, MAX_LENGTH, get_args(Data)],
    ids=["cleaner", "tables", "name", "what", "terms", "min_freq", "max_length", "score"],
)
def test_every_data_set_is_known(known):
    assert set(known) == SETS


def test_every_data_set_is_a_profile():
    assert set(PROFILES) >= SETS
