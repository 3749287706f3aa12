"""Processed data is read a split at a time, mapped from disk, and checked."""

import json

import numpy as np
import pytest
from fabricated import write_summary

from rcan.data.store import open_split, read_summary
from rcan.errors import UserError


def record(study_id, *rows):
    views = [{"row": row, "projection": "frontal"} for row in rows]
    return {"id": study_id, "report": "Clear.", "text": "clear .", "views": views, "labels": None}


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "val.npy", np.zeros((6, 8, 8), dtype=np.uint8))
    write(tmp_path, [record("a", 0, 1), record("b", 2), record("c", 3, 4, 5)])
    write_summary(tmp_path, image_size=8)
    return tmp_path


def write(folder, records):
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "val.jsonl").write_text(text, encoding="utf-8")


def test_a_split_holds_its_studies_and_mapped_images(folder):
    split = open_split(folder, "val")
    assert [study.id for study in split.studies] == ["a", "b", "c"]
    assert split.studies[0].split == "val"
    assert isinstance(split.images, np.memmap) and not split.images.flags.writeable


def test_studies_are_read_from_their_lines_whenever_they_are_asked_for(folder):
    studies = open_split(folder, "val").studies
    assert len(studies) == 3
    assert list(studies) == list(studies) == [studies[0], studies[1], studies[2]]
    assert studies[1:] == [studies[1], studies[2]]
    assert studies[-1] == studies[2] and studies[-1].views[2].row == 5
    for index in (3, -4):
        with pytest.raises(IndexError):
            studies[index]


def test_only_the_asked_split_is_opened(folder):
    assert not (folder / "train.jsonl").exists()
    open_split(folder, "val")


def test_view_rows_repeat_the_last_view_and_drop_the_surplus(folder):
    rows = open_split(folder, "val").view_rows(2)
    assert rows.dtype == np.int64
    assert rows.tolist() == [[0, 1], [2, 2], [3, 4]]


def test_unicode_line_separators_in_a_report_are_text(folder):
    odd = record("a", 0) | {"report": "Clear\u2028lungs\u0085."}
    write(folder, [odd])
    write_summary(folder, image_size=8)
    assert open_split(folder, "val").studies[0].report == odd["report"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "val.npy").unlink(),
        lambda folder: (folder / "val.jsonl").unlink(),
        lambda folder: (folder / "val.npy").write_bytes(b""),
        lambda folder: (folder / "val.npy").write_bytes((folder / "val.npy").read_bytes()[:-1]),
        lambda folder: np.save(folder / "val.npy", np.zeros((6, 8, 8))),
        lambda folder: np.save(folder / "val.npy", np.zeros((6, 8, 9), dtype=np.uint8)),
        lambda folder: np.save(folder / "val.npy", np.zeros((5, 8, 8), dtype=np.uint8)),
        lambda folder: (folder / "val.jsonl").write_text(""),
        lambda folder: (folder / "val.jsonl").write_bytes((folder / "val.jsonl").read_bytes()[:-1]),
        lambda folder: (folder / "val.jsonl").write_text("{\n"),
        lambda folder: (folder / "val.jsonl").write_text("[]\n"),
        lambda folder: write(folder, [{"id": "a"}]),
        lambda folder: write(folder, [record("a")]),
        lambda folder: write(folder, [record("a", -1)]),
        lambda folder: write(folder, [record("a", 0, 1), record("b", 2)]),
        lambda folder: write(folder, [record("a", 0, 1), record("b", 2), record("c", 3, 4)]),
        lambda folder: write(folder, [record("a", 0, 1), record("b", 2), record("d", 3, 4, 5)]),
    ],
)
def test_missing_or_damaged_files_say_how_to_remake_them(folder, damage):
    damage(folder)
    with pytest.raises(UserError, match=r"val\.(npy|jsonl).*dvc repro preprocess"):
        open_split(folder, "val")


def test_an_unknown_split_is_an_error(folder):
    with pytest.raises(UserError, match="train, val, test, got 'dev'"):
        open_split(folder, "dev")


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_missing_or_damaged_summary_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(UserError, match=r"summary\.json.*dvc repro preprocess"):
        read_summary(tmp_path)
