"""Cleaning follows R2Gen rule by rule, its damage included."""

import json

import pytest

from rcan.data.sets import data_set
from rcan.text.cleaning import clean_iu_xray, clean_mimic_cxr

BOTH = [
    ("an empty report is one stop", "", " ."),
    ("case is lost", "Clear LUNGS", "clear lungs ."),
    ("sentences end in a spaced stop", "Clear lungs. Big heart.", "clear lungs . big heart ."),
    ("runs of stops shrink to one", "Clear....... Big", "clear . big ."),
    ("empty sentences keep their stop", "Clear. . Big", "clear .  . big ."),
    ("'1. ' goes anywhere", "1. Clear. Level L1. Big", "clear . level lbig ."),
    ("list numbers 2 to 5 go", "Clear. 2. Big. 5. Old", "clear . big . old ."),
    ("a number before a stop goes", "Width 3. Big", "width . big ."),
    ("list number 6 stays", "Clear. 6. Big", "clear . 6 . big ."),
    ("a stop without space joins words", "Clear.Big 5.9 cm", "clearbig 59 cm ."),
    ("slashes and quotes vanish", "and/or \"big\" patient's a\\b", "andor big patients ab ."),
    ("signs vanish", "a, b? c; d* e! f% g^ h& i_ j+ (k)[l]{m}", "a b c d e f g h i j klm ."),
    ("colon to bracket is a range", "a: b< c= d> e@", "a b c d e ."),
    ("hyphen and some others stay", "x-xxxx #1 $2 ~3 |4 `5", "x-xxxx #1 $2 ~3 |4 `5 ."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("report", "expected"), [case[1:] for case in BOTH], ids=[c[0] for c in BOTH]
)
@pytest.mark.parametrize("clean", [clean_iu_xray, clean_mimic_cxr])
def test_rules_of_both_data_sets(clean, report, expected):
    # MIMIC joins double spaces of the raw report, never those that cleaning itself leaves behind.
    assert clean(report) == expected


@pytest.mark.parametrize(
    ("report", "iu_xray", "mimic_cxr"),
    [
        ("Clear\nlungs", "clear\nlungs .", "clear lungs ."),
        ("Clear  lungs", "clear  lungs .", "clear lungs ."),
        ("Mr ____ is clear", "mr  is clear .", "mr  is clear ."),
        ("Clear......... Big", "clear . big .", "clear . big ."),
    ],
)
def test_mimic_joins_lines_spaces_and_blanks_first(report, iu_xray, mimic_cxr):
    assert (clean_iu_xray(report), clean_mimic_cxr(report)) == (iu_xray, mimic_cxr)


def test_three_passes_leave_two_of_seventeen_stops():
    assert clean_iu_xray("Clear" + "." * 17 + "Big") == "clearbig ."
    assert clean_iu_xray("Clear" + "." * 17 + " Big") == "clear . big ."


def test_demo_reports_are_cleaned_as_iu_xray():
    assert data_set("demo").clean is data_set("iu_xray").clean is clean_iu_xray


def test_cleaners_agree_with_recorded_outputs_of_r2gen(shared):
    cases = json.loads((shared / "data" / "golden_cleaning.json").read_text())["cases"]
    assert len(cases) == 40
    for case in cases:
        assert clean_iu_xray(case["input"]) == case["iu_xray"]
        assert clean_mimic_cxr(case["input"]) == case["mimic_cxr"]
