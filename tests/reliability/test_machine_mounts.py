"""Folders that cannot be written, disks that go away, files that are cut while they are read."""

import json
import random
import signal
from pathlib import Path

import pytest
from layouts import write_images
from stages import before, copy, make, results

from rcan.data.sets.iu_xray_layouts import listed_studies

# What a stage writes to, each a place that may be read-only.
WRITTEN = {
    "preprocess": ["data"], "tokenizer": ["data"], "floors": ["data"],
    "train": [".rcan", "runs", "."], "evaluate": ["data", "reports"], "report": ["reports"],
}  # fmt: skip
ROOM = 50_000_000
STEP = "rcan.training.loop.set_learning_rate"


def read_only(room, path: Path) -> None:
    room.do("mount", "--bind", path, path)
    room.do("mount", "-o", "remount,bind,ro", path)


@pytest.mark.parametrize(("stage", "place"), [(s, place) for s in WRITTEN for place in WRITTEN[s]])
def test_a_read_only_folder(stage, place, scene_on_a_disk, room, amount, figure):
    amount(stage == "preprocess", True)
    with scene_on_a_disk(stage, ROOM) as scene:
        (room.seen(scene.folder) / place).mkdir(exist_ok=True)
        read_only(room, scene.folder / place)
        assert "Read-only file system" in scene.run().error()
        scene.require_whole()
        room.do("umount", scene.folder / place)
        scene.require_goes_on()
    figure("machine trouble", "read-only folders", 1)


def test_a_read_only_database_stops_no_training(long, scene_on_a_disk, room, figure):
    with scene_on_a_disk("train", ROOM) as scene:
        read_only(room, scene.folder / "mlflow.db")
        ended = scene.run()
        assert ended.code == 0, ended.printed
        told = [line for line in ended.printed.splitlines() if line.startswith("MLflow (")]
        assert len(told) == 1 and "read" in told[0], ended.printed
        assert results(room.seen(scene.folder)) == scene.after
        room.do("umount", scene.folder / "mlflow.db")
    figure("machine trouble", "read-only folders", 1)


def taken_away(function: str, call: int, place: str) -> str:
    """Before this call of a function of the project, a disk is gone."""
    umount = f'subprocess.run(["umount", "--lazy", "{place}"], check=True)'
    return before(function, umount, f"calls == {call}")


@pytest.mark.parametrize("place", ["data", ".rcan", "runs"])
def test_a_disk_that_goes_away_amid_a_training(place, room, scene, tmp_path, amount, figure):
    draw, times = random.Random(place), amount(place == "data", 3)
    for number in range(times):
        training = scene("train", str(number))
        folder = training.folder / place
        folder.mkdir(exist_ok=True)
        inside = training.start / place
        inside = inside if inside.exists() else make(tmp_path / "empty")
        room.disk(folder, inside, ROOM)
        ended = training.run(prelude=taken_away(STEP, draw.randint(1, 12), place))
        ended.error()
        if place == "data":
            room.disk(folder, inside, ROOM)
        training.require_goes_on()
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


def test_a_disk_of_images_that_goes_away_leaves_no_other_data(room, tmp_path, long, figure):
    """A tenth of all images may be unreadable; an image that was there a moment ago is not. In
    short in tests/test_packing.py: this packs thousands."""
    count = write_iu_xray(tmp_path / "raw")
    settings = {"data.name": "iu_xray", "data.root": "raw"}
    folder, whole = make(tmp_path / "work", settings), make(tmp_path / "whole", settings)
    copy(tmp_path / "raw", whole / "raw")
    assert room.run("preprocess", whole).code == 0
    numbers = [40, count - 400, 20]  # of those that are not packed yet
    for number in numbers:
        room.disk(folder / "raw", tmp_path / "raw", ROOM)
        vanish = taken_away("rcan.data.images.require_file", number, "raw")
        assert "No such file" in room.run("preprocess", folder, prelude=vanish).error()
        assert results(folder) == {}
    room.disk(folder / "raw", tmp_path / "raw", ROOM)
    again = room.run("preprocess", folder)
    assert again.code == 0, again.printed
    assert results(folder) == results(whole)
    figure("machine trouble", "disks taken away", len(numbers))


def test_an_array_that_is_cut_while_it_is_mapped_is_told(scene, long, figure):
    training = scene("train")
    cut = before(STEP, 'os.truncate("data/processed/train.npy", 100)', "calls == 6")
    ended = training.run(prelude=cut)
    assert ended.code == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in ended.printed  # the system leaves no better word
    assert "batches.py" in ended.printed
    line = training.run().error()
    assert "train.npy" in line and "dvc repro preprocess" in line
    copy(training.start / "data", training.folder / "data")
    assert "resuming after epoch" in training.require_goes_on().printed
    figure("machine trouble", "files cut while they are mapped", 1)
