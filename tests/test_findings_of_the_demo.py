"""The demo's labeler is the inverse of what writes its reports."""

import numpy as np
import pytest

from rcan.data.sets.demo import demo_studies
from rcan.data.sets.demo_findings import FINDINGS, report_on
from rcan.evaluation.labelers import LABELERS
from rcan.text.cleaning import clean_iu_xray

DEMO = LABELERS["demo"]


@pytest.mark.parametrize("seed", range(8))
def test_what_a_reference_says_is_what_was_drawn_of_every_study(seed):
    counts = {"num_train": 100, "num_val": 50, "num_test": 100}
    for study in demo_studies(**counts, seed=seed, image_size=8):
        text = clean_iu_xray(study.report)
        assert DEMO.read(text) == DEMO.known(study.labels), text
        assert DEMO.read_exactly(text) == set(study.labels), text


def test_every_wording_of_every_finding_is_read_and_nothing_else_with_it():
    for finding in FINDINGS:
        attributes = tuple(choices[0] for choices in finding.attributes)
        for wording in finding.present:
            text = clean_iu_xray(wording.format(*attributes))
            assert DEMO.read(text) == {finding.name}
            assert DEMO.read_exactly(text) == {"/".join((finding.name, *attributes))}


def test_what_is_denied_or_absent_is_not_there():
    for seed in range(20):
        text = clean_iu_xray(report_on({}, np.random.default_rng(seed)))
        assert "no" in text.split() or "evidence" in text
        assert DEMO.read(text) == DEMO.read_exactly(text) == set()


@pytest.mark.parametrize(
    ("text", "findings", "exactly"),
    [
        ("", (), ()),
        (" .", (), ()),
        ("there is a left pneumothorax", ("pneumothorax",), ("pneumothorax/left",)),  # cut short
        ("there is a left pneumothorax pneumothorax .", (), ()),
        ("there is a bilateral pneumothorax .", (), ()),  # no study has one, none can
        # A model contradicts itself about the side: the finding is told, where it is is not.
        ("right lower lobe consolidation suggests left sided pneumonia .", ("consolidation",), ()),
        (
            "lung volumes are low . lung volumes are high .",
            ("lung_volume",),
            ("lung_volume/low", "lung_volume/high"),
        ),
        (
            "no nodule . there is a small left midlung granuloma .",
            ("nodule",),
            ("nodule/left/small",),
        ),
    ],
)
def test_a_report_that_no_radiologist_of_the_demo_writes(text, findings, exactly):
    assert DEMO.read(text) == set(findings)
    assert DEMO.read_exactly(text) == set(exactly)


def test_normal_is_a_study_in_which_nothing_was_drawn():
    assert DEMO.normal(()) is True and DEMO.normal(("nodule/left/small",)) is False
    assert DEMO.known(()) == set()
    assert DEMO.findings == tuple(finding.name for finding in FINDINGS)
