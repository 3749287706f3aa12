"""A full disk ends a stage in one line and leaves no half file; with room again it goes on."""

import random
from pathlib import Path

import pytest
from room import Room
from stages import leftovers, results
from zygote import Ended

# Of each stage, how many disks are tried in the short and in the long version, and a little more
# bytes than it needs.
DISKS = {
    "preprocess": (2, 16, 120_000), "tokenizer": (1, 6, 8_000), "floors": (0, 6, 4_000),
    "train": (0, 12, 700_000), "evaluate": (0, 2, 24_000), "report": (0, 4, 800_000),
}  # fmt: skip
FILLED = {"preprocess": (2, 16), "tokenizer": (1, 6), "train": (1, 14), "report": (0, 6)}

# Before the given one of the stage's file operations somebody else fills the disk but for a rest.
FILL = """
import sys
from __main__ import TOUCHING, _is_of_a_library

count, filling = 0, False

def fill(event, arguments):
    global count, filling
    if filling or event not in TOUCHING or _is_of_a_library(arguments):
        return
    count += 1
    if count == {number}:
        filling = True
        with open("filler", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                file.truncate(max(0, file.tell() - {rest}))
        filling = False

sys.addaudithook(fill)
"""


def require_one_line(ended: Ended) -> None:
    """Through, or one line of error and exit code 1; the tracker may have said its own."""
    lines = ended.printed.splitlines()
    assert "Traceback" not in ended.printed, ended.printed
    errors = [line for line in lines if line.startswith("error:")]
    assert (ended.code, len(errors)) in ((0, 0), (1, 1)), ended.printed
    assert sum(line.startswith("MLflow (") for line in lines) <= 1


def require_nothing_half_written(folder: Path, before: dict, after: dict) -> None:
    for name, content in results(folder).items():
        assert content in (before.get(name), after.get(name)), name
    assert not [path for path in folder.rglob("*.tmp") if ".rcan" not in path.parts]


def goes_on(room: Room, stage: str, folder: Path, after: dict) -> None:
    again = room.run(stage, folder)
    assert again.code == 0, again.printed
    assert results(room.seen(folder)) == after
    assert leftovers(room.seen(folder)) == []


@pytest.mark.parametrize("stage", DISKS)
def test_a_disk_too_small(stage, room, undisturbed, tmp_path, amount, figure):
    *tries, needed = DISKS[stage]
    if not amount(*tries):
        pytest.skip("one of the long version's stages")
    start, after, _ = undisturbed[stage]
    failed = 0
    for number in range(amount(*tries)):
        folder = tmp_path / str(number)
        room.disk(folder, start, number * needed // amount(*tries))  # a ladder of sizes
        ended = room.run(stage, folder)
        require_one_line(ended)
        failed += ended.code
        require_nothing_half_written(room.seen(folder), results(start), after)
        room.resize(folder, 100_000_000)
        goes_on(room, stage, folder, after)
        room.do("umount", folder)
    assert failed
    figure("machine trouble", "full disks", amount(*tries))


@pytest.mark.parametrize("stage", FILLED)
def test_a_disk_that_fills_up_meanwhile(stage, room, undisturbed, tmp_path, amount, figure):
    if not amount(*FILLED[stage]):
        pytest.skip("one of the long version's stages")
    start, after, operations = undisturbed[stage]
    draw, failed = random.Random(stage), 0
    for number in range(amount(*FILLED[stage])):
        folder = tmp_path / str(number)
        room.disk(folder, start, 20_000_000)
        rest = draw.choice([0, 0, 4096, draw.randint(0, 200_000)])
        filling = FILL.format(number=draw.randint(1, operations), rest=rest)
        ended = room.run(stage, folder, prelude=filling)
        require_one_line(ended)
        failed += ended.code
        require_nothing_half_written(room.seen(folder), results(start), after)
        (room.seen(folder) / "filler").unlink(missing_ok=True)
        goes_on(room, stage, folder, after)
        room.do("umount", folder)
    assert failed or amount(True, False)  # a few may all come after the last write
    figure("machine trouble", "full disks", amount(*FILLED[stage]))
