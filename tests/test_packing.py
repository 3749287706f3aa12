"""Packed rows are kept only while what is packed is the same."""

import errno
import os

import numpy as np
import pytest

from rcan.data.images import read_grey
from rcan.data.packing import Packing, key_of
from rcan.data.raw import RawImage
from rcan.errors import UserError


def image(level: int, version: str = "1") -> RawImage:
    pixels = np.full((6, 8), level, dtype=np.uint8)
    return RawImage(f"image-{level}", lambda: pixels, "frontal", version)


def packed(images, array, size=4, fit="squash") -> Packing:
    key = key_of(images, size=size, fit=fit)
    return Packing(images, key=key, size=size, fit=fit, array=array)


@pytest.mark.parametrize("change", ["version", "size", "fit"])
def test_what_was_packed_of_other_images_is_discarded(tmp_path, change):
    def packing_of(version="1", size=4, fit="squash"):
        images = [image(7, version), image(8, version)]
        return packed(images, tmp_path / "train.npy", size, fit)

    packing_of().run()
    assert packing_of().done == b"\1\1"
    assert packing_of(**{change: {"version": "2", "size": 5, "fit": "pad"}[change]}).done == b"\0\0"


def test_marks_without_their_array_are_not_trusted(tmp_path):
    def packing_of():
        return packed([image(7)], tmp_path / "train.npy")

    packing_of().run()
    (tmp_path / "train.npy").unlink()
    assert packing_of().run() == []
    assert np.load(tmp_path / "train.npy").tolist() == [[[7] * 4] * 4]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"PK\3\4", b"\0" * 144])
def test_marks_beside_a_damaged_array_are_not_trusted(tmp_path, damage):
    def packing_of():
        return packed([image(7)], tmp_path / "train.npy")

    packing_of().run()
    (tmp_path / "train.npy").write_bytes(damage)
    assert packing_of().run() == []
    assert np.load(tmp_path / "train.npy").tolist() == [[[7] * 4] * 4]


def packing_of_file(path, folder):
    images = [image(7), RawImage(path.name, lambda: read_grey(path), None, "1")]
    return packed(images, folder / "train.npy")


def test_a_damaged_image_is_left_out(tmp_path):
    (tmp_path / "xray.png").write_bytes(b"\x89PNG and no more")
    assert packing_of_file(tmp_path / "xray.png", tmp_path).run() == [1]


def test_an_image_that_was_there_before_is_not_left_out_in_silence(tmp_path):
    with pytest.raises(UserError, match=r"xray\.png: expected an image, got 'No such file"):
        packing_of_file(tmp_path / "xray.png", tmp_path).run()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM])
def test_trouble_of_the_machine_is_no_damaged_image(tmp_path, monkeypatch, number):
    path = tmp_path / "xray.png"
    path.touch()

    def fails(path):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("rcan.data.images.require_file", fails)
    with pytest.raises(UserError, match=f"xray.*{os.strerror(number)}.*run again"):
        packing_of_file(path, tmp_path).run()
