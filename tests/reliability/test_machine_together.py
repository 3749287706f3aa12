"""Two runs at once in one repository: each right, or one of them; never a mixture. And a clock that
jumps changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from repository import Repository
from stages import (
    CHANGES,
    EPOCHS,
    SEVERAL,
    SLOWLY,
    before,
    copy,
    leftovers,
    logged,
    make,
    results,
)  # fmt: skip

FROZEN = {"visual.frozen": True}


def settings_of_two(folder: Path, one: dict, other: dict) -> Path:
    """A folder in which the first of several processes has some settings, the second others."""
    for number, changes in enumerate((one, other)):
        aside = make(folder.parent / f"{folder.name}-settings-{number}", changes)
        (aside / "params.yaml").rename(folder / f"params-{number}.yaml")
    return folder


def alone(zygote, stage: str, folder: Path, changes: dict) -> dict[str, bytes]:
    """What a stage leaves by itself with these settings."""
    make(folder, changes)
    ended = zygote.run(stage, folder)
    assert ended.code == 0, ended.printed
    return results(folder)


def at_once(zygote, stage: str, folder: Path, folders: list[Path], prelude: str = "") -> None:
    """Run a stage in all of these folders at the same time; one may be there twice."""
    several = prelude + SEVERAL.format(folders=list(map(str, folders)))
    root = {} if folder in folders else {"DVC_ROOT": str(folder)}
    ended = zygote.run(stage, folder, prelude=several, environment=root)
    assert ended.code == 0, ended.printed


def test_two_trainings_of_different_settings_share_what_they_can(
    zygote, undisturbed, tmp_path, amount, figure
):
    start, *_ = undisturbed["train"]
    root, times = copy(start, tmp_path / "root"), amount(1, 6)
    settings = [FROZEN | {"wcl.tau": tau} for tau in (0.1, 0.2)]
    expected = [
        alone(zygote, "train", copy(start, tmp_path / f"alone-{number}"), changes)
        for number, changes in enumerate(settings)
    ]
    for _ in range(times):
        folders = [copy(start, tmp_path / str(number)) for number in range(2)]
        copy(start, root)
        for folder, changes in zip(folders, settings, strict=True):
            make(folder, changes)
        at_once(zygote, "train", root, folders)
        assert [results(folder) for folder in folders] == expected
        counts = logged(root)  # two runs
        assert [counts["train/loss", epoch] for epoch in range(1, EPOCHS + 1)] == [2] * EPOCHS
    figure("machine trouble", "pairs of runs at once", times)


def test_two_trainings_that_write_one_folder_leave_the_whole_run_of_either(
    zygote, undisturbed, tmp_path, amount, figure
):
    start, *_ = undisturbed["train"]
    settings, times = ({"wcl.tau": 0.1}, {"wcl.tau": 0.2}), amount(0, 6)
    expected = [
        alone(zygote, "train", copy(start, tmp_path / f"alone-{number}"), changes)
        for number, changes in enumerate(settings)
    ]
    slowly = before("rcan.training.run_folder.write_csv", "time.sleep(1)")
    for _ in range(times):
        folder = settings_of_two(copy(start, tmp_path / "work"), *settings)
        at_once(zygote, "train", folder, [folder] * 2, slowly)
        assert results(folder) in expected
        assert leftovers(folder) == []
    figure("machine trouble", "pairs of runs at once", times)


@pytest.mark.parametrize("sizes", [(32, 32), (32, 48)], ids=["same", "different"])
def test_two_preprocessings_leave_the_whole_data_of_either(sizes, zygote, tmp_path, amount, figure):
    settings, times = [{"data.image_size": size} for size in sizes], amount(1, 8)
    expected = [
        alone(zygote, "preprocess", tmp_path / f"alone-{number}", changes)
        for number, changes in enumerate(settings)
    ]
    slowly = before("shutil.move", "time.sleep(0.2)")
    for turn in range(times):
        folder = settings_of_two(make(tmp_path / str(turn)), *settings)
        at_once(zygote, "preprocess", folder, [folder] * 2, slowly)
        assert results(folder) in expected
        assert leftovers(folder) == []
    figure("machine trouble", "pairs of runs at once", times)


@pytest.mark.parametrize(
    ("stage", "tries"), {"tokenizer": (1, 10), "evaluate": (0, 1), "report": (0, 3)}.items()
)
def test_a_stage_twice_at_once(stage, tries, zygote, scene, amount, figure):
    times = amount(*tries)
    for _ in range(times):
        place = scene(stage)
        at_once(zygote, stage, place.folder, [place.folder] * 2)
        assert results(place.folder) == place.after
        assert leftovers(place.folder) == []
    figure("machine trouble", "pairs of runs at once", times)


# The process becomes two, of which the second begins once the first is through an epoch.
ONE_AFTER_THE_OTHER = """
import json, os, time
from pathlib import Path
printed, running = [Path("first"), Path("second")], []
for path in printed:
    while running and "epoch 1/" not in printed[0].read_text():
        time.sleep(0.02)
    path.touch()
    pid = os.fork()
    if pid == 0:
        with path.open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        break
    running.append(pid)
else:
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in running]
    print(json.dumps([running[0], *codes]), flush=True)
    os._exit(0)
"""


def test_a_second_training_of_one_configuration_is_refused(scene, figure):
    place = scene("train")
    ended = place.run(prelude=SLOWLY + ONE_AFTER_THE_OTHER)
    pid, *codes = json.loads(ended.printed)
    assert codes == [0, 1]
    second = (place.folder / "second").read_text(encoding="utf-8")
    assert f"error: process {pid} is already training this exact" in second
    assert results(place.folder) == place.after
    figure("machine trouble", "second runs refused", 1)


JUMPING = """
import random, time
clock, draw = time.time, random.Random(0)
time.time = lambda: clock() + draw.choice((-1, 1)) * draw.uniform(0, 3e8)
"""


def test_a_clock_that_jumps_by_years_changes_nothing(scene, figure):
    place = scene("train")
    ended = place.run(prelude=JUMPING)
    assert ended.code == 0, ended.printed
    assert results(place.folder) == place.after
    counts = logged(place.folder)
    assert [counts["train/loss", epoch] for epoch in range(1, EPOCHS + 1)] == [1] * EPOCHS
    figure("machine trouble", "trainings under a jumping clock", 1)


def test_two_dvc_repro_at_once_in_one_folder(tmp_path, long, figure):
    project = Repository(tmp_path, CHANGES)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"], cwd=tmp_path, env=project.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    printed = [process.communicate(timeout=300)[0] for process in running]
    codes = [process.returncode for process in running]
    assert 0 in codes, printed
    for code, output in zip(codes, printed, strict=True):
        assert code == 0 or "Unable to acquire lock" in output or "is busy" in output, output
        assert "Traceback" not in output
    first = results(tmp_path)
    code, ran, output = project.repro()
    assert (code, ran) == (0, []), output
    assert results(tmp_path) == first
    assert {n for (name, _), n in logged(tmp_path).items() if "/" in name} == {1}
    figure("machine trouble", "pairs of runs at once", 1)
