"""Paths in an annotation.json that lead elsewhere, and links that a user made."""

import json

import pytest
from cases import attempt
from formats_of_studies import read_annotation as read
from layouts import LISTED, annotation, write_r2gen

from rcan.data.sets.iu_xray import read_iu_xray

KIND = "annotations"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_r2gen(tmp_path_factory.mktemp("r2gen"))


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
