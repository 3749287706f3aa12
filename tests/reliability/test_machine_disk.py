"""A full disk ends a stage in one line and leaves no half file; with room again it goes on."""

import random

import pytest
from room import Room
from stages import Scene
from zygote import Ended

# Of each stage, how many disks are tried in the short and in the long version, and a little more
# bytes than it needs.
DISKS = {
    "preprocess": (2, 16, 120_000), "tokenizer": (1, 6, 8_000), "floors": (0, 6, 4_000),
    "train": (0, 12, 700_000), "evaluate": (0, 2, 24_000), "report": (0, 4, 800_000),
}  # fmt: skip
FILLED = {"preprocess": (2, 16), "tokenizer": (1, 6), "train": (1, 14), "report": (0, 18)}

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


def require_told(ended: Ended, place: Scene) -> bool:
    """Through, or one line, and no half file; the tracker may have said its own line. Whether it
    failed."""
    lines = ended.printed.splitlines()
    assert sum(line.startswith("MLflow (") for line in lines) <= 1
    place.require_whole()
    seen = place.process.seen(place.folder)
    assert not [path for path in seen.rglob("*.tmp") if ".rcan" not in path.parts]
    return ended.error() is not None


@pytest.mark.parametrize("stage", DISKS)
def test_a_disk_too_small(stage, scene_on_a_disk, room: Room, amount, figure):
    *tries, needed = DISKS[stage]
    failed, times = 0, amount(*tries)
    for number in range(times):
        with scene_on_a_disk(stage, number * needed // times) as place:  # a ladder of sizes
            failed += require_told(place.run(), place)
            room.resize(place.folder, 100_000_000)
            place.require_goes_on()
    assert failed
    figure("machine trouble", "full disks", times)


@pytest.mark.parametrize("stage", FILLED)
def test_a_disk_that_fills_up_meanwhile(stage, scene_on_a_disk, room, amount, torture, figure):
    draw, failed, times = random.Random(stage), 0, amount(*FILLED[stage])
    for _ in range(times):
        with scene_on_a_disk(stage, 20_000_000) as place:
            rest = draw.choice([0, 0, 4096, draw.randint(0, 200_000)])
            filling = FILL.format(number=draw.randint(1, place.operations), rest=rest)
            failed += require_told(place.run(prelude=filling), place)
            (room.seen(place.folder) / "filler").unlink(missing_ok=True)
            place.require_goes_on()
    assert failed or not torture  # a few may all come after the last write
    figure("machine trouble", "full disks", times)
