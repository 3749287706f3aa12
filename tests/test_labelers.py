"""The demo's labeler is the inverse of what writes its reports; IU X-ray's is held by cases."""

import numpy as np
import pytest
from imports import TOP
from iu_labels import labelled

from rcan.data.sets.demo import demo_studies
from rcan.data.sets.demo_findings import FINDINGS, report_on
from rcan.evaluation.finding_scores import compare_findings
from rcan.evaluation.labelers import LABELERS, PHRASES
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


IU_XRAY = LABELERS["iu_xray"]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("", set()),
        ("the lungs are clear . heart size is normal .", set()),
        ("there is a small left pleural effusion .", {"pleural effusion"}),
        ("no pleural effusion or pneumothorax .", set()),
        ("no pneumothorax . small effusion .", {"pleural effusion"}),  # ends its sentence
        ("the lungs are clear without focal consolidation .", set()),
        ("negative for pneumothorax . low lung volumes .", {"lung volume"}),
        ("stable cardiomegaly without pulmonary edema .", {"cardiomegaly"}),  # before the denial
        ("the heart is not enlarged .", set()),
        ("the heart is normal without large effusion .", set()),
        ("the heart is mildly enlarged .", {"cardiomegaly"}),
        ("the pneumothorax has resolved .", set()),
        ("a nodule is not seen .", set()),
        ("pneumothorax has resolved and atelectasis remains .", {"atelectasis"}),
        ("no effusion but cardiomegaly .", {"cardiomegaly"}),  # another clause
        ("no effusion there is scoliosis .", {"spine"}),
        ("no change in the right lower lobe opacity .", {"opacity"}),  # is no denial
        ("not significantly changed granuloma .", {"granuloma"}),
        ("possible atelectasis or infiltrate .", {"atelectasis", "opacity"}),  # doubt counts
        ("subcutaneous emphysema .", set()),
        ("emphysema .", {"emphysema"}),
        ("pectus excavatum deformity .", set()),
        ("degenerative changes of the shoulder .", set()),
        ("degenerative changes of the thoracic spine .", {"spine"}),
        ("massive effusions .", {"pleural effusion"}),  # no mass
        ("dextroscoliosis . tortuous aorta . old rib fracture .",
         {"spine", "aorta", "fracture or deformity"}),
        ("the picc has been removed .", set()),
        ("right picc tip in the svc . large hiatal hernia .", {"device", "hernia"}),
        ("left basilar scarring . vascular congestion .", {"scar", "congestion or edema"}),
    ],
)  # fmt: skip
def test_what_is_affirmed_is_read_and_what_is_denied_is_not(text, findings):
    assert IU_XRAY.read(text) == findings


def test_every_finding_can_be_read_and_known_and_no_problem_is_two():
    problems = [problem for phrases in PHRASES for problem in phrases.problems]
    assert len(problems) == len(set(problems))
    for phrases in PHRASES:
        for problem in phrases.problems:
            assert IU_XRAY.known((problem, "shift")) == {phrases.finding}
    assert IU_XRAY.findings == tuple(phrases.finding for phrases in PHRASES)


def test_what_nobody_indexed_is_unknown():
    assert IU_XRAY.known(("no indexing",)) is IU_XRAY.normal(("no indexing",)) is None
    assert IU_XRAY.known(("normal",)) == set() and IU_XRAY.normal(("normal",)) is True
    assert IU_XRAY.known(("shift",)) == set() and IU_XRAY.normal(("shift",)) is False


@pytest.fixture(scope="module")
def references(shared):
    """split -> what the reference reports tell of, beside the indexers' labels."""
    return {
        split: compare_findings(
            IU_XRAY,
            {"references": [study.text for study in studies]},
            [study.labels for study in studies],
            resamples=50,
            seed=1,
        )
        for split, studies in labelled(shared).items()
    }


@pytest.mark.parametrize(
    ("split", "studies", "micro", "macro_f1"),
    [
        ("train", 2028, (0.942, 0.885, 0.912), 0.886),
        ("val", 292, (0.938, 0.867, 0.901), 0.843),
        ("test", 565, (0.942, 0.898, 0.920), 0.867),
    ],
)
def test_the_references_reach_what_the_document_says(references, split, studies, micro, macro_f1):
    found = references[split]["references"]
    assert references[split]["num_studies"] == studies
    told = tuple(round(found["micro"][name]["score"], 3) for name in ("precision", "recall", "f1"))
    assert told == micro
    assert round(found["macro"]["f1"]["score"], 3) == macro_f1


def test_a_finding_that_the_phrases_miss_half_of_is_not_hidden(references):
    emphysema = references["test"]["references"]["per_finding"]["emphysema"]
    assert (emphysema["positives"], emphysema["predicted"], emphysema["hits"]) == (16, 10, 9)
    assert emphysema["recall"]["score"] == 9 / 16
    assert emphysema["recall"]["low"] < 9 / 16 < emphysema["recall"]["high"]


def test_the_document_lists_every_finding_with_what_the_references_reach(references):
    lines = (TOP / "docs" / "findings.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    told = {row[0]: row[2:] for row in rows}
    for phrases in PHRASES:
        problems, *cells = told.pop(phrases.finding)
        assert problems == "; ".join(phrases.problems)
        for split, cell in zip(("train", "val", "test"), cells, strict=True):
            value = references[split]["references"]["per_finding"][phrases.finding]
            rates = [f"{value[name]['score']:.2f}" for name in ("precision", "recall")]
            assert cell == f"{value['positives']}: {', '.join(rates)}", (phrases.finding, split)
    for total in ("micro", "macro"):
        for split, cell in zip(("train", "val", "test"), told.pop(total)[1:], strict=True):
            value = references[split]["references"][total]
            rates = [f"{value[name]['score']:.2f}" for name in ("precision", "recall")]
            assert cell == ", ".join(rates)
    assert set(told) == {"Finding", "---"}
