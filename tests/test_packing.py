"""Packed rows are kept only while what is packed is the same."""

import numpy as np
import pytest

from rcan.data.packing import Packing
from rcan.data.study import RawImage


def image(level: int, version: str = "1") -> RawImage:
    pixels = np.full((6, 8), level, dtype=np.uint8)
    return RawImage(f"image-{level}", lambda: pixels, "frontal", version)


@pytest.mark.parametrize("change", ["version", "size", "fit"])
def test_what_was_packed_of_other_images_is_discarded(tmp_path, change):
    def packing_of(version="1", size=4, fit="squash"):
        images = [image(7, version), image(8, version)]
        return Packing(images, size=size, fit=fit, array=tmp_path / "train.npy")

    packing_of().run()
    assert packing_of().done == b"\1\1"
    assert packing_of(**{change: {"version": "2", "size": 5, "fit": "pad"}[change]}).done == b"\0\0"


def test_marks_without_their_array_are_not_trusted(tmp_path):
    def packing_of():
        return Packing([image(7)], size=4, fit="squash", array=tmp_path / "train.npy")

    packing_of().run()
    (tmp_path / "train.npy").unlink()
    assert packing_of().run() == []
    assert np.load(tmp_path / "train.npy").tolist() == [[[7] * 4] * 4]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"PK\3\4", b"\0" * 144])
def test_marks_beside_a_damaged_array_are_not_trusted(tmp_path, damage):
    def packing_of():
        return Packing([image(7)], size=4, fit="squash", array=tmp_path / "train.npy")

    packing_of().run()
    (tmp_path / "train.npy").write_bytes(damage)
    assert packing_of().run() == []
    assert np.load(tmp_path / "train.npy").tolist() == [[[7] * 4] * 4]
