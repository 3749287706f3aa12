"""Folders that cannot be written, disks that go away, files that are cut while they are read."""

import json
import random
import signal
from pathlib import Path

import pytest
from layouts import write_images
from room import Room
from stages import copy, leftovers, make, results
from zygote import Ended

from rcan.data.iu_xray.listing import listed_studies

# What a stage writes to, each a place that may be read-only.
WRITTEN = {
    "preprocess": ["data"], "tokenizer": ["data"], "floors": ["data"],
    "train": [".rcan", "runs", "."], "evaluate": ["data", "reports"], "report": ["reports"],
}  # fmt: skip
ROOM = 50_000_000


def require_one_line(ended: Ended) -> str:
    """The one line of error with which a stage ended."""
    assert "Traceback" not in ended.printed, ended.printed
    errors = [line for line in ended.printed.splitlines() if line.startswith("error:")]
    assert (ended.code, len(errors)) == (1, 1), ended.printed
    return errors[0]


def require_whole(folder: Path, start: Path, after: dict) -> None:
    for name, content in results(folder).items():
        assert content in (results(start).get(name), after.get(name)), name


def goes_on(room: Room, stage: str, folder: Path, after: dict) -> None:
    again = room.run(stage, folder)
    assert again.code == 0, again.printed
    assert results(room.seen(folder)) == after
    assert leftovers(room.seen(folder)) == []


@pytest.mark.parametrize(("stage", "place"), [(s, place) for s in WRITTEN for place in WRITTEN[s]])
def test_a_read_only_folder(stage, place, room, undisturbed, tmp_path, amount, figure):
    if not amount(stage == "preprocess", True):
        pytest.skip("only in the long version: make torture")
    start, after, _ = undisturbed[stage]
    folder = tmp_path / "work"
    room.disk(folder, start, ROOM)
    (room.seen(folder) / place).mkdir(exist_ok=True)
    room.do("mount", "--bind", folder / place, folder / place)
    room.do("mount", "-o", "remount,bind,ro", folder / place)
    line = require_one_line(room.run(stage, folder))
    assert "Read-only file system" in line
    require_whole(room.seen(folder), start, after)
    room.do("umount", folder / place)
    goes_on(room, stage, folder, after)
    room.do("umount", folder)
    figure("machine trouble", "read-only folders", 1)


def test_a_read_only_database_stops_no_training(room, undisturbed, tmp_path, amount, figure):
    if not amount(False, True):
        pytest.skip("only in the long version: make torture")
    start, after, _ = undisturbed["train"]
    folder = tmp_path / "work"
    room.disk(folder, start, ROOM)
    database = folder / "mlflow.db"
    room.do("mount", "--bind", database, database)
    room.do("mount", "-o", "remount,bind,ro", database)
    ended = room.run("train", folder)
    assert ended.code == 0, ended.printed
    told = [line for line in ended.printed.splitlines() if line.startswith("MLflow (")]
    assert len(told) == 1 and "read" in told[0], ended.printed
    assert results(room.seen(folder)) == after
    room.do("umount", database)
    figure("machine trouble", "read-only folders", 1)


# Before a given call of a function of the project, a disk is taken away.
TAKEN_AWAY = """
import importlib, subprocess
module = importlib.import_module("{module}")
function, calls = getattr(module, "{function}"), 0

def counted(*arguments, **settings):
    global calls
    calls += 1
    if calls == {number}:
        subprocess.run(["umount", "--lazy", "{place}"], check=True)
    return function(*arguments, **settings)

setattr(module, "{function}", counted)
"""


@pytest.mark.parametrize("place", ["data", ".rcan", "runs"])
def test_a_disk_that_goes_away_amid_a_training(place, room, undisturbed, tmp_path, amount, figure):
    start, after, _ = undisturbed["train"]
    draw, times = random.Random(place), amount(place == "data", 3)
    if not times:
        pytest.skip("only in the long version: make torture")
    for number in range(times):
        folder = copy(start, tmp_path / str(number))
        (folder / place).mkdir(exist_ok=True)
        inside = start / place if (start / place).exists() else make(tmp_path / "empty")
        room.disk(folder / place, inside, ROOM)
        vanish = TAKEN_AWAY.format(
            module="rcan.training.loop", function="set_learning_rate", place=place,
            number=draw.randint(1, 12),
        )  # fmt: skip
        ended = room.run("train", folder, prelude=vanish)
        if ended.code:
            require_one_line(ended)
        assert "Traceback" not in ended.printed
        if place == "data":
            room.disk(folder / place, inside, ROOM)
        goes_on(room, "train", folder, after)
    figure("machine trouble", "disks taken away", times)


def write_iu_xray(raw: Path) -> int:
    """All studies of IU X-ray, made up, in R2Gen's layout; the number of images."""
    splits: dict[str, list] = {"train": [], "val": [], "test": []}
    paths = []
    for study in listed_studies():
        views = [f"{study.id}/{view}.png" for view in "01"]
        paths += [raw / "images" / view for view in views]
        record = {"id": study.id, "report": "No effusion.", "split": study.split}
        splits[study.split].append(record | {"image_path": views})
    write_images(paths)
    (raw / "annotation.json").write_text(json.dumps(splits), encoding="utf-8")
    return len(paths)


def test_a_disk_of_images_that_goes_away_leaves_no_other_data(room, tmp_path, amount, figure):
    """A tenth of all images may be unreadable; an image that was there a moment ago is not."""
    if not amount(False, True):
        pytest.skip("packs thousands of images; in short in tests/test_packing.py")
    count = write_iu_xray(tmp_path / "raw")
    settings = {"data.name": "iu_xray", "data.root": "raw"}
    folder, whole = make(tmp_path / "work", settings), make(tmp_path / "whole", settings)
    copy(tmp_path / "raw", whole / "raw")
    assert room.run("preprocess", whole).code == 0
    numbers = [40, count - 400, 20]  # of those that are not packed yet
    for number in numbers:
        room.disk(folder / "raw", tmp_path / "raw", ROOM)
        vanish = TAKEN_AWAY.format(
            module="rcan.data.images", function="require_file", number=number, place="raw"
        )
        ended = room.run("preprocess", folder, prelude=vanish)
        assert "No such file" in require_one_line(ended), ended.printed
        assert results(folder) == {}
    room.disk(folder / "raw", tmp_path / "raw", ROOM)
    again = room.run("preprocess", folder)
    assert again.code == 0, again.printed
    assert results(folder) == results(whole)
    figure("machine trouble", "disks taken away", len(numbers))


CUT = """
import os
from rcan.training import loop
function, calls = loop.set_learning_rate, 0

def counted(*arguments, **settings):
    global calls
    calls += 1
    if calls == {number}:
        os.truncate("data/processed/{name}", 100)
    return function(*arguments, **settings)

loop.set_learning_rate = counted
"""


def test_an_array_that_is_cut_while_it_is_mapped_is_told(
    zygote, undisturbed, tmp_path, amount, figure
):
    if not amount(False, True):
        pytest.skip("only in the long version: make torture")
    start, after, _ = undisturbed["train"]
    folder = copy(start, tmp_path / "work")
    ended = zygote.run("train", folder, prelude=CUT.format(number=6, name="train.npy"))
    assert ended.code == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in ended.printed  # the system leaves no better word
    assert "batches.py" in ended.printed
    line = require_one_line(zygote.run("train", folder))
    assert "train.npy" in line and "dvc repro preprocess" in line
    copy(start / "data", folder / "data")
    again = zygote.run("train", folder)
    assert again.code == 0, again.printed
    assert "resuming after epoch" in again.printed
    assert results(folder) == after
    figure("machine trouble", "files cut while they are mapped", 1)
