"""A folder that is read-only, or whose mount vanishes under a stage: one line, nothing half
written, and the next run goes on to the same bytes."""

import time

import pytest
from stages import SLOWLY, copy, leftovers, results

STAGES = ("preprocess", "tokenizer", "train")


def goes_on(room, stage: str, folder, after: dict) -> None:
    again = room.run(stage, folder)
    assert again.code == 0, again.printed
    assert results(room.seen(folder)) == after
    assert leftovers(room.seen(folder)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_read_only_folder_is_one_line(stage, room, undisturbed, tmp_path, figure):
    start, after, _ = undisturbed[stage]
    folder = tmp_path / "work"
    room.disk(folder, start, 20_000_000)
    room.do("mount", "-o", "remount,ro", folder)
    ended = room.run(stage, folder)
    errors = [line for line in ended.printed.splitlines() if line.startswith("error:")]
    assert (ended.code, len(errors)) == (1, 1), ended.printed
    assert "Traceback" not in ended.printed
    room.do("mount", "-o", "remount,rw", folder)
    goes_on(room, stage, folder, after)
    room.do("umount", folder)
    figure("machine trouble", "read-only folders", 1)


def test_a_mount_that_vanishes_under_a_training(room, undisturbed, tmp_path, amount, figure):
    start, after, _ = undisturbed["train"]
    times = amount(1, 4)
    for number in range(times):
        kept, folder = copy(start, tmp_path / f"kept{number}"), tmp_path / f"work{number}"
        folder.mkdir()
        room.do("mount", "--bind", kept, folder)
        printed = tmp_path / f"printed{number}"
        with room.running("train", folder, prelude=SLOWLY, keep=str(printed)) as (_, ended):
            while not printed.exists() or "epoch 1/" not in printed.read_text(encoding="utf-8"):
                time.sleep(0.02)
            time.sleep(0.2 * number)
            room.do("umount", "--lazy", folder)
            gone = ended()
        errors = [line for line in gone.printed.splitlines() if line.startswith("error:")]
        assert (gone.code, len(errors)) in ((0, 0), (1, 1)), gone.printed
        assert "Traceback" not in gone.printed
        room.do("mount", "--bind", kept, folder)
        again = room.run("train", folder)
        assert again.code == 0, again.printed
        assert results(kept) == after
        room.do("umount", folder)
    figure("machine trouble", "mounts that vanished", times)
