"""Preprocessing: what is kept, what is refused, and that a stop at any point costs little."""

import dataclasses
import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from rcan.data import packing
from rcan.data.preprocess import described, preprocess, process
from rcan.data.raw import RawDataSet, RawImage, RawStudy
from rcan.data.store import open_split, read_summary
from rcan.errors import UserError


def read_grey_level(level: int) -> np.ndarray:
    return np.full((6, 8), level, dtype=np.uint8)


def image(level: int, version: str | None = "1", read=read_grey_level) -> RawImage:
    return RawImage(f"image-{level}", lambda: read(level), "frontal", version)


def unreadable(level: int) -> np.ndarray:
    raise UserError(f"/data/image-{level}.png: damaged")


def studies(num_train: int = 20) -> list[RawStudy]:
    """Studies of two views whose grey levels count up from 0."""
    splits = ["train"] * num_train + ["val", "test"]
    return [
        RawStudy(f"s{k}", split, f"Lung {k} is clear.", (image(2 * k), image(2 * k + 1)))
        for k, split in enumerate(splits)
    ]


def run(raw: list[RawStudy], tmp_path, out="out", **options) -> dict:
    options = {"image_size": 4, "fit": "squash", "work": tmp_path / "work"} | options
    return process(RawDataSet("demo", "drawn", raw), out=tmp_path / out, **options)


def contents(folder) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def demo(tmp_path, **changes) -> dict:
    options = {
        "name": "demo", "root": None, "image_size": 32, "fit": "squash", "seed": 1,
        "num_train": 3, "num_val": 2, "num_test": 1,
        "out": tmp_path / "out", "work": tmp_path / "work",
    }  # fmt: skip
    return preprocess(**(options | changes))


def test_the_demo_is_written_and_read_back(tmp_path):
    summary = demo(tmp_path)
    assert read_summary(tmp_path / "out") == summary
    assert set(contents(tmp_path / "out")) == {*summary["files"], "summary.json"}
    split = open_split(tmp_path / "out", "train")
    assert split.images.shape == (6, 32, 32) and split.images.any()
    assert summary["splits"]["train"]["studies"] == len(split.studies) == 3
    assert split.studies[0].text.islower() and split.studies[0].labels is not None
    assert not any((tmp_path / "work").iterdir())
    printed = described(summary, with_ids=True)
    assert "demo train: 3 studies, 6 images" in printed
    assert "heart" not in printed


def test_rows_point_at_their_own_images(tmp_path):
    run(studies(), tmp_path)
    split = open_split(tmp_path / "out", "train")
    levels = split.images[split.view_rows(2)][:, :, 0, 0]
    assert levels.tolist() == [[2 * k, 2 * k + 1] for k in range(20)]


def test_two_runs_write_the_same_bytes(tmp_path):
    run(studies(), tmp_path, out="a")
    run(studies(), tmp_path, out="b", work=tmp_path / "other")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_studies_are_left_out_by_the_stated_rules(tmp_path):
    raw = studies(40)
    raw[1] = dataclasses.replace(raw[1], id="s0")
    raw[2] = dataclasses.replace(raw[2], report=". . 1. ")
    raw[3] = dataclasses.replace(raw[3], images=())
    raw[4] = dataclasses.replace(raw[4], images=(image(8, version=None), image(9)))
    raw[5] = dataclasses.replace(raw[5], images=(image(10, read=unreadable), image(11)))
    raw[6] = dataclasses.replace(raw[6], images=(image(12, read=unreadable),))
    summary = run(raw, tmp_path)
    assert summary["problems"] == {
        "duplicate_id": {"count": 1, "ids": ["s0"]},
        "no_report": {"count": 1, "ids": ["s2"]},
        "no_image": {"count": 2, "ids": ["s3", "s6"]},
        "image_missing": {"count": 1, "ids": ["s4: image-8"]},
        "image_unreadable": {"count": 2, "ids": ["s5: image-10", "s6: image-12"]},
    }
    assert all(any(kind in rule for rule in summary["rules"]) for kind in summary["problems"])
    split = open_split(tmp_path / "out", "train")
    assert [study.id for study in split.studies][:3] == ["s0", "s4", "s5"]
    levels = split.images[split.view_rows(2)][:, :, 0, 0]
    assert levels[:4].tolist() == [[0, 1], [9, 9], [11, 11], [14, 15]]
    assert summary["splits"]["train"] == {"studies": 36, "images": 70, "mean_tokens": 5.0}


def test_at_most_twenty_ids_of_a_problem_are_listed(tmp_path):
    raw = studies(60) + studies(25)[:25]
    problem = run(raw, tmp_path)["problems"]["duplicate_id"]
    assert (problem["count"], len(problem["ids"])) == (25, 20)


@pytest.mark.parametrize("kind", ["missing", "unreadable"])
def test_more_than_a_tenth_of_images_lost_is_refused(tmp_path, kind):
    raw = studies(20)
    for k in range(5):
        version = None if kind == "missing" else "1"
        raw[k] = dataclasses.replace(
            raw[k], images=(image(2 * k, version, unreadable), image(2 * k + 1))
        )
    with pytest.raises(UserError, match=rf"44 images, .*5 .*{kind}.*/data/image-0\.png") as error:
        run(raw, tmp_path)
    assert "complete the image folder" in str(error.value)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_more_than_a_tenth_of_reports_lost_is_refused(tmp_path):
    raw = [dataclasses.replace(s, report="") if k < 3 else s for k, s in enumerate(studies(20))]
    with pytest.raises(UserError, match=r"22 reports, 3 are missing or empty, such as that of s0"):
        run(raw, tmp_path)


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected studies in every split, test has none"):
        run(studies()[:-1], tmp_path)
    with pytest.raises(UserError, match="val has none"):
        demo(tmp_path, num_val=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mimic_cxr"}, "mimic_cxr: expected the folder of the data.*set data.root"),
        ({"name": "chexpert"}, "demo, iu_xray or mimic_cxr, got 'chexpert'"),
        ({"name": "iu_xray"}, "set data.root"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        demo(tmp_path, **changes)
    assert not (tmp_path / "work").exists()


class Stop(BaseException):
    """As an interrupt from the keyboard."""


@pytest.mark.parametrize("stop_at", [0, 7, 8, 23, 39, 41, 43])
def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch, stop_at):
    monkeypatch.setattr(packing, "BLOCK", 8)
    run(studies(), tmp_path, out="whole", work=tmp_path / "other")
    reads = []

    def read(level):
        if level == stop_at and not resumed:
            raise Stop
        reads.append(level)
        return read_grey_level(level)

    raw = [
        dataclasses.replace(s, images=tuple(image(2 * k + view, read=read) for view in (0, 1)))
        for k, s in enumerate(studies())
    ]
    resumed = False
    with pytest.raises(Stop):
        run(raw, tmp_path)
    assert not any((tmp_path / "out").iterdir())
    reads.clear()
    resumed = True
    run(raw, tmp_path)
    kept = stop_at // 8 * 8 if stop_at < 40 else stop_at // 2 * 2  # 40 of train, 2 of val and test
    assert min(reads) == kept and len(reads) == 44 - kept
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_preprocess import demo, packing
from rcan.data.sets import demo as source
packing.BLOCK = 2
drawn = source.draw_view
def draw(seen, study_seed, projection, size):
    if study_seed[1:] == (0, 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return drawn(seen, study_seed, projection, size)
source.draw_view = draw
demo(Path({folder!r}))
"""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, request):
    whole = tmp_path / "whole"
    demo(whole)
    script = KILLED.format(tests=str(request.path.parent), folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], cwd=request.config.rootpath)
    assert killed.returncode == -signal.SIGKILL
    marks = next((tmp_path / "work").glob("*/train.done")).read_bytes()
    assert marks[-6:] == b"\1\1\1\1\0\0"
    demo(tmp_path)
    assert contents(tmp_path / "out") == contents(whole / "out")


def test_too_little_space_is_told_before_packing(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"expected 704 bytes of free disk.*found 100"):
        run(studies(), tmp_path)


def test_a_disk_that_fills_up_is_told(tmp_path, monkeypatch):
    def fill(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packing, "_force_to_disk", fill)
    with pytest.raises(UserError, match=r"No space left on device.*free some space"):
        run(studies(), tmp_path)


def test_an_output_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*make it writable or name another folder"):
        run(studies(), tmp_path, out="file/out")


def test_no_message_and_no_summary_holds_report_text(tmp_path, capsys):
    raw = studies(40)
    raw[1] = dataclasses.replace(raw[1], report="Secret. " * 3, images=())
    summary = run(raw, tmp_path)
    told = described(summary, with_ids=True) + capsys.readouterr().out
    assert "ecret" not in json.dumps(summary) + told


def test_a_report_of_5000_words_is_kept_and_said(tmp_path):
    raw = studies()
    raw[3] = dataclasses.replace(raw[3], report="word " * 5000)
    summary = run(raw, tmp_path)
    assert summary["problems"]["report_long"] == {"count": 1, "ids": ["s3"]}
    assert summary["splits"]["train"]["studies"] == 20
    assert "report_long: 1, first s3" in described(summary, with_ids=True)
    assert "s3" not in described(summary, with_ids=False)
