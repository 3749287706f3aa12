"""Where findings stand in reports and in pictures, and whether attention points at them."""

import numpy as np
import pytest
from tiny import prepare, tiny

from rcan.attention.patches import Places
from rcan.attention.pointing import Look, by_finding, look, spread_over, summary
from rcan.data.sets.demo import PLACED, finding_regions
from rcan.data.store import Study, View, open_split
from rcan.errors import UserError
from rcan.evaluation.labelers import LABELERS
from rcan.reporting.cases import verdict
from rcan.reporting.examples import even_ranks
from rcan.reporting.labelled_split import FIRST, NAME, chosen_words
from rcan.reporting.mentions import mentions, truth

DEMO, IU_XRAY = LABELERS["demo"], LABELERS["iu_xray"]


def spans(text: str, labeler) -> list[tuple[str, str]]:
    return [(m.finding, " ".join(text.split()[m.start : m.end])) for m in mentions(text, labeler)]


def test_a_mention_is_the_fewest_words_that_say_so():
    text = (
        "the heart is mildly enlarged . there is no pleural effusion . "
        "small calcified granuloma in the right lung but no pneumothorax ."
    )
    assert spans(text, IU_XRAY) == [
        ("cardiomegaly", "heart is mildly enlarged"), ("granuloma", "granuloma"),
    ]  # fmt: skip
    text = "heart size is normal . a large nodule projects over the left midlung . no effusion ."
    assert spans(text, DEMO) == [("nodule", "a large nodule projects over the left midlung")]
    assert spans("", DEMO) == spans(". . .", IU_XRAY) == []


def test_mentions_and_labeler_agree_on_every_demo_report(tmp_path):
    place = prepare(tmp_path, tiny())
    for study in open_split(place["processed"], "train").studies:
        found = mentions(study.text, DEMO)
        assert {mention.finding for mention in found} == DEMO.read(study.text)
        assert {mention.label for mention in found} == set(study.labels)


def test_a_wrong_side_is_told_from_a_finding_that_is_not_there():
    there = frozenset({"nodule/left/large", "scoliosis/right"})
    said = mentions(
        "a large nodule projects over the left midlung . "
        "thoracic scoliosis is convex to the left . linear atelectasis crosses the left lung .",
        DEMO,
    )
    assert [verdict(mention, there, DEMO) for mention in said] == ["right", "other", "wrong"]
    two_sides = "left lower lobe consolidation suggests right sided pneumonia ."
    [mention] = mentions(two_sides, DEMO)
    assert mention.label is None
    assert verdict(mention, frozenset({"consolidation/left/lower"}), DEMO) == "other"


def test_what_is_there_comes_from_labels_and_from_the_report():
    study = Study("one", "test", "", "there is a granuloma .", (View(0, None),), ("cardiomegaly",))
    assert truth(study, IU_XRAY) == {"granuloma", "cardiomegaly"}
    unknown = Study("one", "test", "", "there is a granuloma .", (View(0, None),), None)
    assert truth(unknown, IU_XRAY) == {"granuloma"}


def test_a_finding_gives_its_first_word_and_the_one_that_names_it():
    text = (
        "heart size is normal . right apical pneumothorax with partial collapse of the right lung ."
    )
    [mention] = mentions(text, DEMO)
    words = {kind: text.split()[number] for kind, number in chosen_words(mention, text).items()}
    assert words == {FIRST: "right", NAME: "pneumothorax"}
    [mention] = mentions("small granuloma .", IU_XRAY)
    assert chosen_words(mention, "small granuloma .") == {NAME: 1}


def test_a_finding_shows_where_it_was_drawn(tmp_path):
    settings = tiny({"demo.num_test": 60})
    split = open_split(prepare(tmp_path, settings)["processed"], "test")
    seen = set()
    for index, rows in enumerate(split.view_rows(2)):
        regions = finding_regions(split, index, seed=settings.demo.seed, rows=rows)
        assert {label.split("/")[0] for label in regions} == PLACED & {
            label.split("/")[0] for label in split.studies[index].labels
        }
        for label, region in regions.items():
            name, side = label.split("/")[:2]
            assert region.shape == (2, 32, 32)
            if name in ("consolidation", "nodule", "pacemaker") and region[0].any():
                y, x = (axis.mean() for axis in np.nonzero(region[0]))
                if name != "pacemaker":  # whose lead goes to the heart
                    assert (x > 15.5) == (side == "left"), label  # the patient's left
                if label.endswith(("/upper", "/lower")):
                    assert (y > 13) == label.endswith("/lower"), label
            seen.add(name)
    assert seen == PLACED


def test_pictures_of_another_seed_are_refused(tmp_path):
    split = open_split(prepare(tmp_path, tiny())["processed"], "test")
    with pytest.raises(UserError, match=r"demo\.seed 2"):
        finding_regions(split, 0, seed=2, rows=split.view_rows(2)[0])


def test_a_share_of_attention_is_what_falls_on_the_region():
    places = Places(np.kron(np.eye(2), [0.25] * 4), num_images=1)  # four tiles of 4 x 4 pixels
    region = np.zeros((1, 8, 8), dtype=bool)
    region[0, :4, 4:6] = True  # half of the upper right tile
    attention = np.array([[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    found = look(3, "nodule", attention, 0, region, places)
    assert found == Look(3, "nodule", share=0.5, of_all_words=0.25, even=0.125)
    assert spread_over(attention) == pytest.approx(1)
    assert spread_over(np.full((2, 4), 0.25)) == pytest.approx(4)


def test_a_model_that_looks_everywhere_alike_is_told_to_point_nowhere():
    looks = [Look(n % 20, "nodule", 0.1, 0.1, 0.1) for n in range(30)]
    told = summary(looks, num_studies=40, resamples=200, seed=1)
    assert (told["words"], told["studies"]) == (30, 20)
    for ratio in ("times_even", "times_all_words"):
        assert told[ratio] == told[f"{ratio}_low"] == told[f"{ratio}_high"] == pytest.approx(1)


def test_the_interval_is_over_studies_not_words():
    noise = np.random.default_rng(0).uniform(0, 0.4, 30)
    alone = [Look(study, "nodule", share, 0.1, 0.1) for study, share in enumerate(noise)]
    twice = [one for one in alone for _ in range(2)]
    one, two = (summary(s, num_studies=30, resamples=500, seed=1) for s in (alone, twice))
    assert one["share"] == pytest.approx(noise.mean())
    assert one["share_low"] < one["share"] < one["share_high"]
    assert two["share_low"] == pytest.approx(one["share_low"])  # saying it twice proves no more
    nothing = summary([], num_studies=30, resamples=500, seed=1)
    assert nothing["share"] is None
    assert list(nothing) == list(one)


def test_findings_are_listed_from_the_most_frequent():
    looks = [Look(0, name, 0, 0, 0) for name in ("b", "a", "b", "c")]
    assert [(name, len(some)) for name, some in by_finding(looks).items()] == [
        ("b", 2), ("a", 1), ("c", 1),
    ]  # fmt: skip


def test_ranks_go_from_the_first_to_the_last():
    assert even_ranks(4, 100) == [0, 33, 66, 99]
    assert even_ranks(4, 2) == [0, 1] and even_ranks(4, 1) == [0]
