"""docs/add-a-system.md: its family and its module, put into copies of the project, are trained."""

import json
import re
import sys

import pytest
from repository import Repository
from safetensors import safe_open
from tiny import TINY, TOP

DOC = (TOP / "docs" / "add-a-system.md").read_text(encoding="utf-8")
MOST_LINES = {"python": 60, "diff": 40}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", DOC, re.DOTALL)


def copied(folder, changes=()) -> Repository:
    tiny = TINY | {"train.epochs": 1, "cgm.num_slots": 32} | dict(changes)  # r2gencmn reads as many
    return Repository(folder, {k: json.dumps(v) for k, v in tiny.items()}).warm()


def add_cell(project: Repository, line: str) -> None:
    path = project.folder / "ablations" / "cells.yaml"
    cells = path.read_text(encoding="utf-8")
    assert "\ncells:\n" in cells
    path.write_text(cells.replace("\ncells:\n", f"\ncells:\n  {line.strip()}\n", 1))


def ran(project: Repository, *stages: str) -> None:
    for stage in stages:
        done = project.run(project.python, "-m", *f"pipeline.{stage}".split())
        assert done.returncode == 0, done.stdout


def test_a_family_and_a_module_take_few_lines():
    settings, model, _ = blocks("python")
    assert len(settings.splitlines()) < 15
    assert 40 < len(model.splitlines()) < MOST_LINES["python"]
    (diff,) = blocks("diff")
    added = [line for line in diff.splitlines() if re.match(r"\+(?!\+\+ )", line)]
    assert 15 < len(added) < MOST_LINES["diff"]


@pytest.fixture(scope="module")
def with_lrcn(tmp_path_factory):
    project = copied(tmp_path_factory.mktemp("family") / "project")
    settings, model, _ = blocks("python")
    for part, text in {"config": settings, "model": model}.items():
        path = project.folder / "rcan" / part / "families" / "lrcn.py"
        path.write_text(text, encoding="utf-8")
    (cell, _) = blocks("yaml")
    add_cell(project, cell)
    return project


def test_the_family_of_the_example_is_planned_trained_and_scored(with_lrcn):
    stages = ("preprocess", "tokenizer", "floors", "plan", "train lrcn-1", "evaluate lrcn-1")
    ran(with_lrcn, *stages)
    run = with_lrcn.folder / "runs" / "lrcn-1"
    best = json.loads((run / "best.json").read_text())
    assert best["name"] == "LRCN seed=1"
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["family"] == "lrcn" and "wcl" not in config
    plan = json.loads((with_lrcn.folder / "ablations" / "plan" / "lrcn-1.json").read_text())
    assert set(plan["model"]) == {"family", "d_model", "dropout", "patch_positions"}
    assert (with_lrcn.folder / "data" / "evaluation" / "lrcn-1" / "scores.json").exists()


def test_the_family_of_the_example_keeps_the_contract_of_all(with_lrcn):
    done = with_lrcn.run(
        sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider",
        "tests/test_families.py", "-k", "lrcn",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_settings_of_another_family_are_refused_with_the_known_ones(with_lrcn):
    (with_lrcn.folder / "other.py").write_text(
        "from rcan.config import resolve\nfrom rcan.reading import parse_yaml\nimport pathlib\n"
        "raw = parse_yaml(pathlib.Path('params.yaml').read_text())\n"
        "raw['model']['family'] = 'rcnn'\nresolve(raw)\n"
    )
    done = with_lrcn.run(sys.executable, "other.py")
    assert "model.family is 'rcnn'; it must be " in done.stdout and "lrcn" in done.stdout


def test_a_cell_that_changes_what_its_family_does_not_read_is_refused(with_lrcn):
    (with_lrcn.folder / "cells.py").write_text(
        "from rcan.ablation.plan import plan\nfrom rcan.ablation.cells import load_cells, CELLS\n"
        "from rcan.reading import parse_yaml\nimport pathlib\n"
        "raw = parse_yaml(pathlib.Path('params.yaml').read_text())\n"
        "raw['model']['family'] = 'lrcn'\nplan(raw, load_cells(CELLS))\n"
    )
    done = with_lrcn.run(sys.executable, "cells.py")
    told = "cell rve: expected settings that model.family lrcn reads, got model.use_rve; give the"
    assert told in done.stdout


def test_the_module_of_the_example_is_planned_trained_and_scored(tmp_path):
    project = copied(tmp_path / "project")
    (project.folder / "module.diff").write_text(blocks("diff")[0], encoding="utf-8")
    applied = project.run("git", "apply", "--verbose", "module.diff")
    assert applied.returncode == 0, applied.stdout
    add_cell(project, "eca: {visual.eca: true, model.use_rve: false}")
    ran(project, "preprocess", "tokenizer", "floors", "plan", "train eca-1")
    run = project.folder / "runs" / "eca-1"
    with safe_open(run / "best.safetensors", framework="pt") as weights:
        assert any("neighbours" in name for name in weights.keys())  # noqa: SIM118
    best = json.loads((run / "best.json").read_text())
    assert "eca" in best["name"] and "RVE" not in best["name"]
