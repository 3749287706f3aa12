"""`dvc repro` on a copy of the project: from raw data to tables, and then only what is needed."""

import shutil

import pytest
from repository import OUTPUTS, STAGES, Repository
from tiny import TINY

from rcan.ablation.cells import CONTROLS, run_name


@pytest.mark.slow
def test_repro_goes_from_raw_data_to_tables_and_then_runs_only_what_a_change_needs(tmp_path):
    counts = {"demo.num_train": 24, "demo.num_val": 8, "demo.num_test": 8, "train.epochs": 1}
    folder = tmp_path / "mine"
    folder.mkdir()
    project = Repository(folder, TINY | counts)
    shutil.rmtree(folder / "data")  # with what tests keep there of METEOR's table

    code, ran, output = project.repro()
    assert code == 0, output
    assert sorted(ran) == sorted(STAGES)  # stage plan waits for none
    for out in OUTPUTS:
        assert (folder / out).exists(), out
    assert set(project.runs()) == {"RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1"}
    assert None not in project.runs().values()

    assert project.warm().repro()[:2] == (0, [])
    project.set({"data.fit": "round"})
    code, ran, output = project.repro()
    assert code != 0 and ran in (["preprocess"], ["plan"])  # whichever DVC takes first
    assert [line for line in output.splitlines() if line.startswith("error:")] == [
        "error: params.yaml: data.fit is 'round'; it must be squash, crop or pad"
    ]
    assert "Traceback" not in output

    project.set({"data.fit": "squash", "wcl.tau": 0.2})
    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == ["plan", "train", "evaluate", "report"]
    parts = list((folder / "data/work/meteor").glob("*.gz"))
    assert len(parts) == 1  # of METEOR's table: the second model is scored by the first one's
    assert set(project.runs()) == {
        "RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1", "RVE+CGM+WCL tau=0.2 lambda=0.7 seed=1",
    }  # fmt: skip
    assert None not in project.runs().values()
    assert list((folder / ".rcan" / "checkpoints").iterdir()) == []
    cells_are_trained_once_and_again_when_they_use_what_changed(project)
    a_colleague_has_the_same_numbers_and_trains_nothing(project, tmp_path)


CELLS = """
seeds: [1]
cells:
  rcan: {}
  transformer: {model.use_rve: false, model.use_cgm: false, model.use_wcl: false}
readings:
  wcl_denominator_all: {wcl.denominator: all}
"""


def cells_are_trained_once_and_again_when_they_use_what_changed(project: Repository) -> None:
    folder, before = project.folder, set(project.runs())
    register = folder / "ablations" / "cells.yaml"
    text = register.read_text(encoding="utf-8")
    register.write_text(CELLS + text[text.index("tables:\n") :], encoding="utf-8")
    code, ran, output = project.repro("ablations/dvc.yaml")
    assert code == 0, output
    assert [name.removeprefix("ablations/dvc.yaml:") for name in ran[:2]] == ["plan", "cells"]
    assert "3 cells, 2 to be trained; 1 equal another" in output
    controls = {run_name(name, seed) for name, folds in CONTROLS.items() for seed in folds}
    assert {path.name for path in (folder / "runs").iterdir()} == controls | {
        "main", "rcan-1", "transformer-1", "wcl_denominator_all-1",
    }  # fmt: skip
    assert [path.name for path in (folder / "runs" / "rcan-1").iterdir()] == ["same_as.json"]
    table = (folder / "reports" / "ablations" / "table4.md").read_text(encoding="utf-8")
    assert table.startswith("# Table 4, modules: demo")
    assert "not run" in table  # of the others
    assert (folder / "reports" / "index.html").stat().st_size > 10_000
    told = {f"{name} seed={seed}" for name, folds in CONTROLS.items() for seed in folds}
    assert set(project.runs()) - before == told | {
        "wcl_denominator_all: RVE+CGM+WCL tau=0.2 lambda=0.7 denominator=all seed=1",
        "Transformer seed=1",
    }  # fmt: skip
    assert project.repro("ablations/dvc.yaml")[:2] == (0, [])


def a_colleague_has_the_same_numbers_and_trains_nothing(project: Repository, top) -> None:
    remote, theirs = top / "remote", top / "theirs"
    for command in (
        "dvc remote add -q -d lab",
        "git add -A",
        "git commit -qm numbers",
        "dvc push -q",
    ):
        words = [*command.split(), *([str(remote)] if "remote" in command else [])]
        done = project.run(*words)
        assert done.returncode == 0, done.stdout
    assert project.run("git", "clone", "-q", str(project.folder), str(theirs)).returncode == 0
    colleague = project.elsewhere(theirs)

    code, ran, output = colleague.repro("--pull", "--allow-missing", "ablations/dvc.yaml")
    assert (code, ran) == (0, []), output  # nothing to do, without data or weights
    code, ran, output = colleague.repro("--pull")
    assert code == 0, output
    made = ["preprocess", "tokenizer", "floors", "evaluate", "report"]
    assert sorted(name for name in ran if name != "plan") == sorted(made)  # a plan is not pushed
    assert colleague.run("git", "status", "--short", "--untracked-files=no").stdout == ""
