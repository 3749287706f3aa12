"""docs/add-a-module.md: what it adds, applied to a copy of the project, is planned and trained."""

import json
import re

from repository import Repository
from safetensors import safe_open
from tiny import TINY, TOP

DOC = TOP / "docs" / "add-a-module.md"
MOST_LINES = 40


def added() -> str:
    (diff,) = re.findall(r"```diff\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    return diff


def test_a_module_takes_few_lines():
    lines = [line for line in added().splitlines() if re.match(r"\+(?!\+\+ )", line)]
    assert 20 < len(lines) < MOST_LINES


def test_the_module_of_the_example_is_planned_trained_and_scored(tmp_path):
    tiny = TINY | {"train.epochs": 1, "cgm.num_slots": 32}  # r2gencmn reads as many
    changes = {key: json.dumps(value) for key, value in tiny.items()}
    project = Repository(tmp_path / "project", changes).warm()
    (project.folder / "module.diff").write_text(added(), encoding="utf-8")
    applied = project.run("git", "apply", "--verbose", "module.diff")
    assert applied.returncode == 0, applied.stdout
    for stage in ("preprocess", "tokenizer", "floors", "plan", "train eca-1"):
        done = project.run(project.python, "-m", *f"pipeline.{stage}".split())
        assert done.returncode == 0, done.stdout
    run = project.folder / "runs" / "eca-1"
    with safe_open(run / "best.safetensors", framework="pt") as weights:
        assert any("neighbours" in name for name in weights.keys())  # noqa: SIM118
    best = json.loads((run / "best.json").read_text())
    assert "eca" in best["name"] and "RVE" not in best["name"]
