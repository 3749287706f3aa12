"""The demo data set: deterministic, readable from the picture, not guessable without it."""

from collections import Counter

import numpy as np
import pytest

from rcan.data.sets.demo import demo_studies
from rcan.data.sets.demo_findings import FINDINGS, report_on, see
from rcan.data.sets.demo_phantom import Phantom
from rcan.text.cleaning import clean_iu_xray

BY_NAME = {finding.name: finding for finding in FINDINGS}


def studies(seed=1, num_train=400, num_val=0, num_test=0, image_size=64):
    return demo_studies(
        num_train=num_train, num_val=num_val, num_test=num_test, seed=seed, image_size=image_size
    )


def draw(**seen) -> np.ndarray:
    """A frontal view without patient variation or grain, in floating point."""
    view = Phantom(64, "frontal", np.random.default_rng(0))
    for alters in (True, False):
        if not alters:
            view.paint_anatomy()
        for name, attributes in seen.items():
            if BY_NAME[name].alters_anatomy == alters:
                BY_NAME[name].draw(view, *attributes)
    return view.pixels


def test_each_study_has_a_frontal_and_a_lateral_view():
    study = studies(num_train=1)[0]
    assert [image.projection for image in study.images] == ["frontal", "lateral"]
    for image in study.images:
        pixels = image.read()
        assert pixels.shape == (64, 64) and pixels.dtype == np.uint8


def test_a_study_depends_on_seed_split_and_index_alone():
    few, many = studies(num_train=3, num_test=1), studies(num_train=5, num_test=2)
    assert few[:3] == many[:3] and few[3] == many[5]
    assert np.array_equal(few[3].images[1].read(), many[5].images[1].read())
    other = studies(seed=2, num_train=3)
    assert [study.report for study in other] != [study.report for study in few[:3]]
    assert not np.array_equal(other[0].images[0].read(), few[0].images[0].read())


def test_splits_differ():
    drawn = studies(num_train=20, num_val=20, num_test=20)
    reports = {
        split: [study.report for study in drawn if study.split == split]
        for split in ("train", "val", "test")
    }
    assert reports["train"] != reports["val"] != reports["test"] != reports["train"]


def test_most_studies_have_one_to_four_findings_and_few_are_normal():
    counts = Counter(len(study.labels) for study in studies())
    assert counts[0] <= 0.15 * 400
    assert sum(counts[number] for number in (1, 2, 3, 4)) > 0.6 * 400


def test_reports_are_varied_and_of_the_length_of_real_ones():
    texts = [clean_iu_xray(study.report).split() for study in studies()]
    assert 35 < np.mean([len(text) for text in texts]) < 55
    assert 80 <= len({word for text in texts for word in text}) <= 120
    assert Counter(" ".join(text) for text in texts).most_common(1)[0][1] <= 8


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.name)
def test_each_finding_is_visible_with_each_of_its_attributes(finding):
    drawn = [draw()]
    for first in finding.attributes[0]:
        for rest in finding.attributes[1] if len(finding.attributes) > 1 else [None]:
            drawn.append(draw(**{finding.name: (first,) if rest is None else (first, rest)}))
    for index, one in enumerate(drawn):
        for other in drawn[:index]:
            changed = np.abs(one - other) > 0.15  # six times the grain
            assert changed.sum() >= 4


@pytest.mark.parametrize("name", ["consolidation", "nodule", "pleural_effusion", "pneumothorax"])
def test_the_patients_right_is_at_the_images_left(name):
    rest = [choices[0] for choices in BY_NAME[name].attributes[1:]]
    changed = np.abs(draw(**{name: ("right", *rest)}) - draw()).sum(axis=0)
    assert changed[:32].sum() > 20 * changed[32:].sum()


def test_labels_name_finding_side_and_size():
    labels = {label for study in studies() for label in study.labels}
    assert {"pleural_effusion/left/small", "cardiomegaly/marked", "atelectasis/right"} <= labels


def test_the_report_speaks_of_every_finding_seen():
    seen = {"nodule": ("left", "small"), "pneumothorax": ("right",)}
    report = report_on(seen, np.random.default_rng(0)).lower()
    assert "left" in report and "right" in report and "pneumothorax" in report
    assert "evidence of consolidation or effusion" in report or "no consolidation or eff" in report


def test_nothing_is_reported_that_fluid_hides():
    for seed in range(2000):
        seen = see(np.random.default_rng(seed))
        side, size = seen.get("pleural_effusion", ("", ""))
        if size == "large" and "atelectasis" in seen:
            assert side not in ("bilateral", *seen["atelectasis"])
