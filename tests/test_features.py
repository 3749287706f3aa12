"""Kept features of a frozen CNN: computed once, read again, and never half there."""

import os
import threading
from collections import namedtuple

import numpy as np
import pytest
import torch
from tiny import batches_of, prepare, tiny

from rcan.data import features
from rcan.data.features import kept_features
from rcan.data.store import Split, open_split
from rcan.errors import UserError
from rcan.model.build import build_model

NUM_IMAGES = 7
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def split() -> Split:
    images = np.random.default_rng(1).integers(0, 256, (NUM_IMAGES, 8, 8), dtype=np.uint8)
    return Split("val", [], images)


class Extract:
    """Counts images, and averages each over a 2 x 2 grid, twice: (n, 4, 4) -> (n, 3, 2, 2)."""

    def __init__(self, fail_after: int = 10**9):
        self.seen, self.fail_after = 0, fail_after

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        if self.seen > self.fail_after:
            raise RuntimeError("power cut")
        pooled = torch.nn.functional.avg_pool2d(images.float().unsqueeze(1), 2)
        return torch.cat([pooled, -pooled, pooled / 3], 1)


def keep(split, folder, extract, **options) -> np.memmap:
    options = {"crop": 4, "map_shape": (3, 2, 2), "batch_size": 3} | options
    return kept_features(split, folder, extract=extract, **options)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_features_are_of_the_centre_in_half_precision(split, tmp_path):
    kept = keep(split, tmp_path / "features", Extract())
    assert kept.shape == (NUM_IMAGES, 3, 2, 2) and kept.dtype == np.float16
    centre = torch.from_numpy(np.ascontiguousarray(split.images[:, 2:6, 2:6]))
    np.testing.assert_array_equal(kept, Extract()(centre).half().numpy())
    assert isinstance(kept, np.memmap) and not kept.flags.writeable


def test_features_are_computed_once_and_read_the_second_time(split, tmp_path):
    extract = Extract()
    first = keep(split, tmp_path / "features", extract)
    assert extract.seen == NUM_IMAGES
    second = keep(split, tmp_path / "features", extract)
    assert extract.seen == NUM_IMAGES
    np.testing.assert_array_equal(first, second)
    assert names(tmp_path / "features") == ["val.npy"]


def test_of_two_that_begin_together_one_computes(split, tmp_path):
    class Slow(Extract):
        def __call__(self, images):
            if not self.seen:
                other.start()
                other.join(0.5)  # time enough to compute all, if it did not wait
            return super().__call__(images)

    slow, waiting = Slow(), Extract()
    other = threading.Thread(target=keep, args=(split, tmp_path, waiting))
    keep(split, tmp_path, slow)
    other.join(60)
    assert (slow.seen, waiting.seen) == (NUM_IMAGES, 0)


@pytest.mark.parametrize("left_over", [(5, 3, 2, 2), (NUM_IMAGES, 3, 4, 4)])
def test_features_of_another_shape_are_computed_again(left_over, split, tmp_path):
    np.save(tmp_path / "val.npy", np.zeros(left_over, np.float16))
    assert keep(split, tmp_path, Extract()).shape == (NUM_IMAGES, 3, 2, 2)


@pytest.mark.parametrize("size", [0, 50, -1])
def test_damaged_features_are_computed_again(size, split, tmp_path):
    keep(split, tmp_path, Extract())
    path = tmp_path / "val.npy"
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    extract = Extract()
    assert keep(split, tmp_path, extract).shape == (NUM_IMAGES, 3, 2, 2)
    assert extract.seen == NUM_IMAGES


def test_a_stop_midway_leaves_no_file_and_the_next_run_computes_all(split, tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        keep(split, tmp_path, Extract(fail_after=5))
    assert names(tmp_path) == []
    extract = Extract()
    keep(split, tmp_path, extract)
    assert extract.seen == NUM_IMAGES


def test_a_full_disk_is_told_before_anything_is_computed(split, tmp_path, monkeypatch):
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: Usage(10, 10, 100))
    extract = Extract()
    with pytest.raises(UserError, match=r"visual\.frozen") as caught:
        keep(split, tmp_path, extract)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert extract.seen == 0 and names(tmp_path) == []


# What a training keeps: the folder is named by all that the features depend on.

FROZEN = {"visual.frozen": True}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("demo"), tiny())


def source_of(demo, root, changes=None, split="val", seed=1) -> tuple[np.memmap, set[str]]:
    """The kept features of a split, and the names of all folders with features."""
    settings = tiny(FROZEN | (changes or {}))
    torch.manual_seed(seed)
    model = build_model(settings, 50)
    batches = batches_of(demo, root, settings, split, model.visual)
    return batches.source, set(names(root / "data" / "work" / "features"))


def test_kept_features_are_those_of_the_cnn_in_the_model(demo, tmp_path):
    kept, _ = source_of(demo, tmp_path)
    torch.manual_seed(1)
    cnn = build_model(tiny(FROZEN), 50).visual.cnn.eval()
    images = torch.from_numpy(open_split(demo["processed"], "val").images[:, 2:30, 2:30].copy())
    with torch.inference_mode():
        expected = cnn(images)
    assert kept.shape == expected.shape
    difference = torch.linalg.norm(torch.tensor(kept).float() - expected)
    assert difference < 5e-4 * torch.linalg.norm(expected)  # float16 on disk, float32 before


@pytest.mark.parametrize(
    ("changes", "seed", "another"),
    [
        ({}, 1, False),
        ({"model.d_model": 32, "train.lr": 0.5, "wcl.tau": 0.2}, 1, False),
        ({"visual.feature_window": 4, "visual.feature_pool": 2}, 1, False),
        ({}, 2, True),  # other weights
        ({"visual.crop": 30}, 1, True),
        ({"visual.channels": [4, 12]}, 1, True),
    ],
)
def test_only_what_shapes_the_features_gives_them_another_folder(
    changes, seed, another, demo, tmp_path
):
    _, before = source_of(demo, tmp_path)
    _, after = source_of(demo, tmp_path, changes, seed=seed)
    assert len(before) == 1 and before <= after
    assert (len(after) == 2) is another


def test_other_images_give_another_folder(demo, tmp_path):
    _, before = source_of(demo, tmp_path)
    other = prepare(tmp_path, tiny({"demo.seed": 2}))
    _, after = source_of(other, tmp_path)
    assert len(after - before) == 1
