"""A damaged annotation.json: exactly the studies it holds, the rest counted, or one line."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from cases import GARBAGE, INSTEAD, attempt, damaged, edited, put, seeded
from hypothesis import given
from hypothesis import strategies as st
from layouts import LISTED, PIXELS, annotation, write_r2gen

from rcan.data.iu_xray import read_iu_xray

KIND = "annotations"
IDS = [study.id for study in LISTED]
KEYS = st.sampled_from(["train", "val", "test", "id", "report", "image_path", "split", "extra", ""])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_r2gen(tmp_path_factory.mktemp("r2gen"))


def read(path: Path) -> bool:
    """Whether it was read; then nothing of it is lost without a word, and nothing is from outside.

    What is expected is counted anew, by Python's own reading of the file.
    """
    data = attempt(lambda: read_iu_xray(path.parent, LISTED), str(path.parent))
    if data is None:
        return False
    held = json.loads(path.read_text(encoding="utf-8-sig"))
    assert set(held) == {"train", "val", "test"}
    records = [record for split in ("train", "val", "test") for record in held[split]]
    listed = [record for record in records if record["id"] in IDS]
    first = {record["id"]: record for record in reversed(listed)}
    expected = {
        "study_not_listed": len(records) - len(listed),
        "duplicate_id": len(listed) - len(first),
        "report_missing": len(IDS) - len(first),
        "image_surplus": sum(max(0, len(record["image_path"]) - 2) for record in first.values()),
    }
    counts = {kind: data.problems.counts.get(kind, 0) for kind in expected}
    assert counts == expected
    for study, listed_study in zip(data.studies, LISTED, strict=True):
        record = first.get(study.id, {"report": "", "image_path": []})
        assert (study.id, study.split) == (listed_study.id, listed_study.split)
        assert study.report == record["report"]
        assert len(study.images) == 2 * (study.id in first)
        for number, image in enumerate(study.images):
            check_image(image, path.parent / "images", record["image_path"][number : number + 1])
    return True


def check_image(image, folder: Path, named: list[str]) -> None:
    """It has a version if, and only if, there is a file in the folder; then it is that file."""
    [place] = image.read.args
    files = [folder / name for name in named]
    files += [file.with_suffix(".jpg") for file in files]
    assert (image.version is not None) == any(map(os.path.isfile, files))
    if image.version is not None:
        assert Path(os.path.normpath(place)).is_relative_to(folder)
        assert (image.read() == PIXELS).all()


def test_damaged_bytes_and_edited_values(path, amount, figure):
    counted = Counter()

    @seeded(amount(25, 600))
    @given(damaged(json.dumps(annotation(), indent=1).encode()))
    def of_bytes(content):
        path.write_bytes(content)
        counted[read(path)] += 1

    @seeded(amount(50, 1000))
    @given(edited(annotation(), KEYS), st.booleans())
    def of_values(value, escaped):
        text = json.dumps(value, ensure_ascii=escaped)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        counted[read(path)] += 1

    of_bytes()
    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


def with_path(name: str) -> str:
    """An annotation whose first study names `name` as its first image."""
    changed = annotation()
    changed["train"][0]["image_path"][0] = name
    return json.dumps(changed)


OUTSIDE = (
    "../secret.png", "a/../../secret.png", "/secret.png", "//secret.png", "..\\..\\secret.png",
    "\\secret.png", "a/..", "..", ".", "./", "./.", "/", "CXR/../../secret.png", "a/../..//b.png",
)  # fmt: skip
STRANGE = (
    "x" * 5_000, "a/" * 3_000 + "0.png", "0.png\0", "\0", " ", "\n", "~/0.png", "$HOME/0.png",
    "%2e%2e/a", "a\u202egnp.0", "CXR/.../0.png", "-rf", "file:///etc/passwd", "con.png", "0.png/",
    "images",
)  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_out_of_the_image_folder_is_refused(path, name, figure):
    path.parent.joinpath("secret.png").write_bytes(b"secret")
    path.write_text(with_path(name), encoding="utf-8")
    assert not read(path)
    figure("bad input", KIND, 1)


def test_a_path_that_no_file_has_is_a_missing_image(path, figure):
    for name in STRANGE:
        path.write_text(with_path(name), encoding="utf-8")
        data = read_iu_xray(path.parent, LISTED)
        assert [image.version is None for image in data.studies[0].images] == [True, False], name
        assert attempt(data.studies[0].images[0].read) is None
    figure("bad input", KIND, len(STRANGE))


def test_a_users_own_links_are_followed(path, tmp_path, figure):
    """Many link their image folder, or single images: that is theirs to do."""
    folder = path.parent / "images"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    one = folder / LISTED[0].id / "0.png"
    one.rename(tmp_path / "one.png")
    one.symlink_to(tmp_path / "one.png")
    path.write_text(json.dumps(annotation()), encoding="utf-8")
    assert read(path)
    assert all(i.version for study in read_iu_xray(path.parent).studies[:3] for i in study.images)
    one.unlink()
    (tmp_path / "one.png").rename(one)
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    figure("bad input", KIND, 2)


def texts():
    """Annotations that JSON cannot be, or that say a thing twice."""
    good = json.dumps(annotation())
    yield good.replace('"train"', '"train": [], "train"', 1)
    yield good.replace('"report"', '"report": "Other.", "report"', 1)
    yield good.replace('"split"', '"x": NaN, "split"', 1)
    yield good.replace('"split"', '"x": -Infinity, "split"', 1)
    yield good.replace('"split"', '"x": 1e999, "split"', 1)
    yield good.replace('"split"', f'"x": {"9" * 6000}, "split"', 1)
    yield good.replace('"split"', f'"x": {"[" * 90_000}, "split"', 1)
    yield good.replace('"split"', f'"x": {"[" * 90_000}{"]" * 90_000}, "split"', 1)
    yield good.replace("The heart", "The \\ud83c heart")
    yield good.replace("The heart", "The \\udfff\\ud83c heart")
    yield good.replace('"val"', '"valid"', 1)
    yield good[:-1] + ', "more": []}'
    yield good + "{}"
    yield f"[{good}]"


def test_texts_that_are_no_annotation_and_garbage(path, figure):
    contents = [*GARBAGE, *(text.encode() for text in texts())]
    for content in contents:
        path.write_bytes(content)
        assert not read(path), content[:80]
    figure("bad input", KIND, len(contents))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(path, instead, figure):
    put(path, instead)
    assert not read(path)
    assert not path.with_name("ran").exists()
    put(path, "nothing")
    figure("bad input", KIND, 1)
