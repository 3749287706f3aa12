"""The ablations stopped as a whole at random instants and started again end in the same bytes.

Only in the long version: a run costs a minute.
"""

import random
import signal
from pathlib import Path

import pytest
from repository import Repository
from stages import CHANGES, leftovers, logged
from stops import stop_until_through

CELLS = """
seeds: [1]
cells:
  rcan: {}
  transformer: {model.use_rve: false, model.use_cgm: false, model.use_wcl: false}
  cgm: {model.use_rve: false, model.use_wcl: false}
readings:
  wcl_denominator_all: {wcl.denominator: all}
"""
COMMAND = ("dvc", "repro", "ablations/dvc.yaml")
SECONDS = 60  # of an undisturbed run, roughly


def repository(folder: Path) -> Repository:
    folder.mkdir()
    project = Repository(folder, CHANGES)
    (folder / "ablations" / "cells.yaml").write_text(CELLS)
    return project


def results(folder: Path) -> dict[str, bytes]:
    """Every file that the ablations leave: name -> content."""
    places = ("runs", "data/evaluation", "reports", "ablations/plan")
    files = [path for place in places for path in (folder / place).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_ablations_stopped_with_all_their_processes(sent, tmp_path, amount, figure):
    wanted = amount(0, 8 if sent == signal.SIGKILL else 3)
    calm, project = (repository(tmp_path / name) for name in ("calm", "stopped"))
    undisturbed = calm.run(*COMMAND)
    assert undisturbed.returncode == 0, undisturbed.stdout
    draw = random.Random(int(sent))
    stops = stop_until_through(project, COMMAND, sent, wanted, draw, SECONDS / 2)
    assert results(project.folder) == results(calm.folder)
    assert calm.locked("ablations/dvc.lock") == project.locked("ablations/dvc.lock")
    assert leftovers(project.folder) == []
    assert list((project.folder / ".rcan" / "checkpoints").iterdir()) == []
    per_epoch = {n for (name, _), n in logged(project.folder).items() if name == "train/loss"}
    assert per_epoch == {4}  # four trainings, of main and three cells: each epoch of each once
    figure("killed", f"{sent.name}: stops of the ablations and all they run", stops)


def test_a_changed_setting_trains_the_cells_that_use_it_and_no_other(tmp_path, long, figure):
    project = repository(tmp_path / "project")
    code, _, output = project.repro("ablations/dvc.yaml")
    assert code == 0, output
    project.set({"wcl.tau": 0.15})
    code, ran, output = project.repro("ablations/dvc.yaml")
    assert code == 0, output
    trained = {name.partition("@")[2] for name in ran if "train" in name and "@" in name}
    assert trained == {"wcl_denominator_all-1"}
    logs = {path.stem for path in (project.folder / ".rcan" / "logs").iterdir()}
    assert logs == {"transformer-1", "cgm-1", "wcl_denominator_all-1"}
    figure("same bits", "changes of a setting that trained the cells which use it alone", 1)
