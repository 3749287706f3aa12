"""Damaged left-overs of earlier runs under .rcan: made anew, or passed over; never believed."""

import fcntl
import json
import os
from collections import Counter

import numpy as np
import pytest
import torch
from cases import GARBAGE, INSTEAD, attempt, damaged, edited, put, remove, seeded
from hypothesis import given

from rcan.data.features import kept_features
from rcan.data.packing import Packing
from rcan.data.raw import RawImage
from rcan.data.store import Split
from rcan.files import exclusive
from rcan.training.checkpoint import write_tensors
from rcan.training.key import PARTS, why_afresh

KIND = "left-overs"
HEADER = 128  # bytes of an .npy file before its numbers
PIXELS = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # these files need not outlast a power cut


def damages(content: bytes, amount):
    """Calls a check with damaged headers, cuts, garbage and things that are no files."""

    def decorate(check):
        tried = Counter()

        @seeded(amount(20, 200))
        @given(damaged(content[:HEADER]))
        def of_bytes(header):
            check(header + content[HEADER:])
            tried["cases"] += 1

        of_bytes()
        others = [*GARBAGE, *(content[:length] for length in range(0, len(content), 37)), *INSTEAD]
        for other in others:
            check(other)
        return tried["cases"] + len(others)

    return decorate


def lay(path, content: bytes | str) -> None:
    if isinstance(content, str):
        put(path, content)
    else:
        remove(path)
        path.write_bytes(content)


def test_kept_features_that_are_damaged_are_computed_again(tmp_path, amount, figure):
    split = Split("train", [], PIXELS)
    path = tmp_path / "train.npy"

    def features() -> np.ndarray:
        return kept_features(
            split, tmp_path, crop=8, map_shape=(1, 8, 8),
            extract=lambda images: images[:, None].float() / 2,
        )  # fmt: skip

    whole = np.array(features())
    assert (whole == PIXELS[:, None].astype(np.float16) / 2).all()

    @damages(path.read_bytes(), amount)
    def tried(content):
        lay(path, content)
        if content not in ("a folder",):
            found = features()
            assert found.shape == whole.shape and found.dtype == np.float16
            assert (found == whole).all()

    figure("bad input", KIND, tried)


@pytest.mark.parametrize("which", ["array", "marks"])
def test_images_packed_beside_damaged_files_are_packed_again(which, tmp_path, amount, figure):
    reads = Counter()

    def image(number: int) -> RawImage:
        def read() -> np.ndarray:
            reads[number] += 1
            return PIXELS[number]

        return RawImage(f"{number}", read, None, "1")

    def packing() -> Packing:
        images = [image(number) for number in range(len(PIXELS))]
        return Packing(images, key="0" * 64, size=8, fit="pad", array=tmp_path / "train.npy")

    packing().run()
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    path = tmp_path / ("train.npy" if which == "array" else "train.done")

    def restore():
        for other, content in files.items():
            remove(other)
            other.write_bytes(content)

    @damages(files[path], amount)
    def tried(content):
        restore()
        lay(path, content)
        try:
            assert packing().run() == []
        except OSError:  # it cannot be written there: one line of a stage
            assert isinstance(content, str)
        else:
            assert (np.load(tmp_path / "train.npy") == PIXELS).all()

    figure("bad input", KIND, tried)


def test_the_state_of_another_training_is_told_of_or_passed_over(tmp_path, amount, figure):
    counted = Counter()
    parts = {
        "settings": {"train": {"epochs": 9, "patience": None, "lr": 0.1}, "scale": "full"},
        "data": "a",
    }
    facts = {"progress": {"epoch": 3, "history": [], "best": None}}
    other, own = tmp_path / "other", tmp_path / "own"
    own.mkdir()
    write_tensors(other / "last.safetensors", {"a": torch.ones(2)}, facts)
    whole = (other / "last.safetensors").read_bytes()

    def told() -> bool:
        line = why_afresh(own, parts | {"data": "b"})
        assert line is None or (line.isprintable() and line.startswith("starting afresh"))
        assert json.loads((own / PARTS).read_text()) == parts | {"data": "b"}
        return line is not None

    (other / PARTS).write_text(json.dumps(parts))
    assert told()

    @seeded(amount(40, 300))
    @given(edited(parts))
    def of_parts(value):
        lay(other / PARTS, json.dumps(value).encode())
        counted[told()] += 1

    @seeded(amount(20, 200))
    @given(damaged(whole))
    def of_state(content):
        lay(other / "last.safetensors", content)
        counted[told()] += 1

    of_parts()
    for content in [*GARBAGE, *INSTEAD]:
        lay(other / PARTS, content)
        assert not told()
    lay(other / PARTS, json.dumps(parts).encode())
    of_state()
    for content in [*GARBAGE, *INSTEAD]:
        lay(other / "last.safetensors", content)
        assert not told()
    figure("bad input", KIND, counted.total() + 2 * len([*GARBAGE, *INSTEAD]))


LOCKS = [*GARBAGE[:5], b"0", b"-1", b"99999999999999999999", b"x\ny"]


@pytest.mark.parametrize("content", LOCKS, ids=lambda content: content[:8].hex())
def test_a_lock_that_holds_no_number_is_a_lock(content, tmp_path, figure):
    path = tmp_path / "lock"
    path.write_bytes(content)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def hold():
            with exclusive(path, "training"):
                pytest.fail("two hold one lock")

        assert attempt(hold, "training") is None
    with exclusive(path, "training"):
        assert path.read_text() == str(os.getpid())
    figure("bad input", KIND, 1)
