"""What splits share is found and told: the same image, patient or study in two of them."""

import json
import random

import numpy as np
from fabricated import scores_of, write_evaluation, write_processed, write_run

from rcan.data.preprocess import described, preprocess, process
from rcan.data.raw import RawDataSet, RawImage, RawStudy
from rcan.data.sets.iu_xray_layouts import listed_studies
from rcan.data.store import SPLITS, open_split
from rcan.errors import UserError
from rcan.files import write_json
from rcan.reporting.report import write_report

HELD = ("honesty", "checks that held", 1)
BLACK = 0


def image(name: str, picture: int | None) -> RawImage:
    """One of a few pictures, all different; None cannot be read and is packed black."""

    def read() -> np.ndarray:
        if picture is None:
            raise UserError(f"{name}: damaged")
        if picture == BLACK:
            return np.zeros((4, 4), dtype=np.uint8)
        return np.random.default_rng(picture).integers(0, 256, (4, 4), dtype=np.uint8)

    return RawImage(name, read, "frontal", "1")


def random_studies(seed: int, num: int) -> tuple[list[RawStudy], dict[str, int | None]]:
    """Studies of one to three images, some of them equal, some unreadable, of a few patients or of
    nobody known; and the picture that each image shows."""
    draw = random.Random(seed)
    pictures: dict[str, int | None] = {}
    studies = []
    for number in range(num):
        names = [f"{number}-{view}" for view in range(draw.randint(1, 3))]
        for name in names:
            shown = draw.randrange(4 * num) if draw.random() < 0.7 else BLACK
            pictures[name] = None if draw.random() < 0.02 else shown
        studies.append(
            RawStudy(
                f"s{number}", SPLITS[number] if number < 3 else draw.choice(SPLITS),
                f"Lung {number} is clear.", tuple(image(n, pictures[n]) for n in names),
                patient=f"p{draw.randrange(2 * num)}" if draw.random() < 0.8 else None,
            )
        )  # fmt: skip
    return studies, pictures


def expected(studies: list[RawStudy], pictures: dict[str, int | None]) -> dict[str, int]:
    """How many of each kind there are, counted the slow way."""
    in_order = [study for split in SPLITS for study in studies if study.split == split]
    shown = [(study.split, pictures[i.name]) for study in in_order for i in study.images]
    readable = [(split, picture) for split, picture in shown if picture is not None]
    counts = dict.fromkeys(("image_twice", "image_in_two_splits", "patient_in_two_splits"), 0)
    for position, (split, picture) in enumerate(readable):
        earlier = [other for other, same in readable[:position] if same == picture]
        if earlier:
            counts["image_twice" if earlier[0] == split else "image_in_two_splits"] += 1
    kept = [study for study in studies if any(pictures[i.name] is not None for i in study.images)]
    for patient in {study.patient for study in kept} - {None}:
        splits = {study.split for study in kept if study.patient == patient}
        counts["patient_in_two_splits"] += len(splits) > 1
    return {kind: count for kind, count in counts.items() if count}


def test_all_that_splits_share_is_counted_and_nothing_else(tmp_path, amount, figure):
    kinds, tried = set(), 0
    for seed in range(amount(25, 500)):
        studies, pictures = random_studies(seed, 4 + seed % 30)
        folder = tmp_path / str(seed)
        try:
            summary = process(
                RawDataSet("demo", "drawn", studies), image_size=4, fit="squash",
                out=folder / "out", work=folder / "work",
            )  # fmt: skip
        except UserError as error:  # too much was made unreadable
            assert "unreadable" in str(error) or "in every split" in str(error)
            continue
        wanted = expected(studies, pictures)
        told = {k: p["count"] for k, p in summary["problems"].items() if k != "image_unreadable"}
        assert {kind: told[kind] for kind in told if kind != "no_image"} == wanted, seed
        printed = described(summary, with_ids=False).split("\n")
        for kind in wanted:
            assert f"demo {kind}: {wanted[kind]}" in printed
            assert any(kind in rule for rule in summary["rules"])
        kinds |= wanted.keys()
        tried += 1
    assert kinds == {"image_twice", "image_in_two_splits", "patient_in_two_splits"}
    figure("honesty", "random splits searched for overlap", tried)


def studies_of(*rows: tuple[str, str, list[int | None], str | None]) -> list[RawStudy]:
    return [
        RawStudy(
            study_id, split, f"Lung {study_id} is clear.",
            tuple(image(f"{study_id}-{k}", picture) for k, picture in enumerate(pictures)),
            patient=patient,
        )
        for study_id, split, pictures, patient in rows
    ]  # fmt: skip


def problems_of(tmp_path, studies: list[RawStudy]) -> dict[str, list[str]]:
    summary = process(
        RawDataSet("demo", "drawn", studies), image_size=4, fit="squash", out=tmp_path / "out",
        work=tmp_path / "work",
    )  # fmt: skip
    return {kind: problem["ids"] for kind, problem in summary["problems"].items()}


def test_what_is_shared_is_told_by_split_study_and_image(tmp_path, figure):
    found = problems_of(
        tmp_path,
        studies_of(
            ("a", "train", [1, 2], "p"), ("b", "train", [2], None), ("c", "val", [3, 1], None),
            ("d", "test", [4], "p"), ("e", "test", [3], "q"), ("f", "test", [5], "q"),
        ),
    )  # fmt: skip
    assert found == {
        "image_twice": ["train b: b-0 equals train a: a-1"],
        "image_in_two_splits": [
            "val c: c-1 equals train a: a-0", "test e: e-0 equals val c: c-0",
        ],
        "patient_in_two_splits": ["p: train a, test d"],
    }  # fmt: skip
    figure(*HELD)


def test_two_unreadable_images_are_not_equal_though_both_are_packed_black(tmp_path, figure):
    rows = [(f"s{k}", "train", [k, 100 + k], None) for k in range(1, 30)]
    rows += [("u", "train", [None, 50], None), ("v", "test", [None, 51], None)]
    rows += [("w", "val", [BLACK], None)]
    found = problems_of(tmp_path, studies_of(*rows))
    assert found == {"image_unreadable": ["u: u-0", "v: v-0"]}
    figure(*HELD)


def test_a_study_in_two_splits_is_told_and_stays_in_the_first_alone(tmp_path, figure):
    rows = [("a", "train", [1], None), ("b", "val", [2], None), ("c", "test", [3], None)]
    found = problems_of(tmp_path, studies_of(*rows, ("a", "test", [4], None)))
    assert found == {"duplicate_id": ["a"]}
    ids = {s: {study.id for study in open_split(tmp_path / "out", s).studies} for s in SPLITS}
    assert ids == {"train": {"a"}, "val": {"b"}, "test": {"c"}}
    figure(*HELD)


def test_the_demo_shares_nothing(tmp_path, amount, figure):
    summary = preprocess(
        name="demo", root=None, image_size=32, fit="squash", seed=1,
        num_train=amount(60, 1000), num_val=amount(30, 500), num_test=amount(30, 500),
        out=tmp_path / "out", work=tmp_path / "work",
    )  # fmt: skip
    assert summary["problems"] == {}
    figure(*HELD)


def test_iu_xray_shares_nothing_but_one_image_within_one_study(shared, tmp_path, long, figure):
    summary = preprocess(
        name="iu_xray", root=shared / "data" / "iu_xray", image_size=64, fit="squash", seed=1,
        num_train=0, num_val=0, num_test=0, out=tmp_path / "out", work=tmp_path / "work",
    )  # fmt: skip
    assert {k: p["count"] for k, p in summary["problems"].items()} == {
        "image_missing": 2, "image_twice": 1,
    }  # fmt: skip
    [twice] = summary["problems"]["image_twice"]["ids"]
    assert twice.count("train CXR3245_IM-1537:") == 2
    figure(*HELD)


def test_each_patient_of_iu_xray_has_one_study(figure):
    numbers = [study.number for study in listed_studies()]
    assert len(set(numbers)) == len(numbers) == 2955
    figure(*HELD)


def test_an_overlap_of_splits_is_a_caution_above_the_tables(tmp_path, figure):
    digest = write_processed(tmp_path / "processed", num_studies=8)
    write_evaluation(tmp_path / "evaluation", scores_of(num_studies=8) | {"data_digest": digest})
    write_run(tmp_path / "run", data_digest=digest)
    path = tmp_path / "processed" / "summary.json"
    kinds = {"image_in_two_splits": 17, "patient_in_two_splits": 18, "image_twice": 19}
    problems = {kind: {"count": count, "ids": ["somebody"]} for kind, count in kinds.items()}
    write_json(path, json.loads(path.read_text()) | {"problems": problems})
    write_report(
        evaluation=tmp_path / "evaluation", run=tmp_path / "run", out=tmp_path / "out",
        processed=tmp_path / "processed", command="",
    )  # fmt: skip
    page = (tmp_path / "out" / "results.md").read_text()
    above = page[: page.index("| BLEU-1")]
    assert "**17 images of validation or test equal an image of an earlier split" in above
    assert "**18 patients have studies in more than one split" in above
    assert above.count("scores may be too high.**") == 2
    assert "19 " not in above and "somebody" not in page
    figure(*HELD)
