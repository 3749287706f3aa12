"""Two runs at once in one repository: each right, or one of them; never a mixture."""

import subprocess
import sys
from pathlib import Path

import pytest
from repository import Repository
from stages import CHANGES, EPOCHS, SEVERAL, copy, leftovers, logged, make, results

FROZEN = {"visual.frozen": True}

# One step takes so long that the other process is at it at the same time.
SLOWLY = """
import importlib, time
module = importlib.import_module("{module}")
function = getattr(module, "{function}")

def slowly(*arguments, **settings):
    time.sleep({seconds})
    return function(*arguments, **settings)

setattr(module, "{function}", slowly)
"""


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
        at_once = SEVERAL.format(folders=list(map(str, folders)))
        ended = zygote.run("train", root, prelude=at_once, environment={"DVC_ROOT": str(root)})
        assert ended.code == 0, ended.printed
        assert [results(folder) for folder in folders] == expected
        counts = logged(root)  # two runs
        assert [counts["train/loss", epoch] for epoch in range(1, EPOCHS + 1)] == [2] * EPOCHS
    figure("machine trouble", "pairs of runs at once", times)


def test_two_trainings_that_write_one_folder_leave_the_whole_run_of_either(
    zygote, undisturbed, tmp_path, amount, figure
):
    start, *_ = undisturbed["train"]
    settings, times = ({"wcl.tau": 0.1}, {"wcl.tau": 0.2}), amount(0, 6)
    if not times:
        pytest.skip("only in the long version: make torture")
    expected = [
        alone(zygote, "train", copy(start, tmp_path / f"alone-{number}"), changes)
        for number, changes in enumerate(settings)
    ]
    slowly = SLOWLY.format(module="rcan.training.run_folder", function="write_csv", seconds=1)
    for _ in range(times):
        folder = settings_of_two(copy(start, tmp_path / "work"), *settings)
        at_once = slowly + SEVERAL.format(folders=[str(folder)] * 2)
        ended = zygote.run("train", folder, prelude=at_once)
        assert ended.code == 0, ended.printed
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
    slowly = SLOWLY.format(module="shutil", function="move", seconds=0.2)
    for turn in range(times):
        folder = settings_of_two(make(tmp_path / str(turn)), *settings)
        at_once = slowly + SEVERAL.format(folders=[str(folder)] * 2)
        ended = zygote.run("preprocess", folder, prelude=at_once)
        assert ended.code == 0, ended.printed
        assert results(folder) in expected
        assert leftovers(folder) == []
    figure("machine trouble", "pairs of runs at once", times)


@pytest.mark.parametrize("stage", ["tokenizer", "evaluate", "report"])
def test_a_stage_twice_at_once(stage, zygote, undisturbed, tmp_path, amount, figure):
    times = amount(stage == "tokenizer", {"tokenizer": 10, "evaluate": 1, "report": 3}[stage])
    if not times:
        pytest.skip("only in the long version: make torture")
    start, after, _ = undisturbed[stage]
    for _ in range(times):
        folder = copy(start, tmp_path / "work")
        ended = zygote.run(stage, folder, prelude=SEVERAL.format(folders=[str(folder)] * 2))
        assert ended.code == 0, ended.printed
        assert results(folder) == after
        assert leftovers(folder) == []
    figure("machine trouble", "pairs of runs at once", times)


def test_two_dvc_repro_at_once_in_one_folder(tmp_path, amount, figure):
    if not amount(False, True):
        pytest.skip("only in the long version: make torture")
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
