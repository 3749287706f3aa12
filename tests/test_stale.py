"""What an edit makes stale: in a copy of the project, the plan files that it changes, and no more;
with DVC itself, the stages that it would run again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from imports import TOP
from repository import OUTPUTS, Repository
from test_pipeline import written
from tiny import PARAMS, prepare, tiny

CELLS = "seeds: [1]\ncells: {a: {wcl.tau: 0.3}}\nreadings: {b: {model.use_wcl: false}}\n"
# A family in two files; beside them stand lines in params.yaml and cells.yaml.
CONFIG = '''
"""Settings."""
from typing import ClassVar

from rcan.config.sections import Count, Family, Section


class Other(Section):
    """Its own."""

    width: Count


class Config(Family):
    """One section."""

    reads: ClassVar = frozenset()
    other: Other
'''
MODEL = '''
"""A model."""
from rcan.model.layers.dropout import Dropout


def build(settings, vocabulary_size, *, pretrained):
    """The model."""
    return Dropout(settings.family.other.width)
'''
WRITE = """
from pathlib import Path
from rcan.ablation.plan import plan_files, write_main_plan, write_plan
from rcan.config import load_settings
write_plan(plan_files(Path("params.yaml"), Path("ablations/cells.yaml")), Path("ablations/plan"))
write_main_plan(load_settings(), Path("data/plan"))
"""


class Copy:
    """A copy of the project's code, whose plan can be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self) -> dict[str, str]:
        """Plan file -> content, as the stages plan write them now."""
        subprocess.run([sys.executable, "-c", WRITE], cwd=self.folder, check=True)
        files = [p for top in ("ablations/plan", "data/plan") for p in self.at(top).rglob("*.json")]
        return {p.relative_to(self.folder).as_posix(): p.read_text() for p in files}

    def at(self, name: str) -> Path:
        return self.folder / name

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.at(name).read_text(encoding="utf-8")
        assert old in text
        self.at(name).write_text(text.replace(old, new, 1), encoding="utf-8")

    def add_family(self) -> None:
        """A family of models, and the cell `c` of it."""
        self.at("rcan/config/families/other.py").write_text(CONFIG)
        self.at("rcan/model/families/other").mkdir()
        self.at("rcan/model/families/other/__init__.py").write_text(MODEL)
        with self.at("params.yaml").open("a", encoding="utf-8") as file:
            file.write("other: {width: 3}\n")
        self.edit("ablations/cells.yaml", "tau: 0.3}", "tau: 0.3}, c: {model.family: other}")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    for name in ("rcan", "pipeline"):
        shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    (folder / "ablations").mkdir()
    (folder / "ablations" / "cells.yaml").write_text(CELLS)
    return Copy(folder), Copy(folder).plan()


@pytest.fixture
def copy(kept, tmp_path):
    """A copy, and its plan before the edit."""
    shutil.copytree(kept[0].folder, tmp_path / "copy")
    return Copy(tmp_path / "copy"), kept[1]


TRAINING = {"ablations/plan/a-1.json", "ablations/plan/b-1.json", "data/plan/train.json"}
SCORING = {
    "ablations/plan/scoring/a-1.json", "ablations/plan/scoring/b-1.json", "data/plan/evaluate.json"
}  # fmt: skip


def changed_files(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_a_new_family_changes_the_plan_of_its_own_cell_alone(copy):
    project, before = copy
    project.add_family()
    after = project.plan()
    own = {"ablations/plan/c-1.json", "ablations/plan/scoring/c-1.json"}
    assert changed_files(before, after) == own
    plan = json.loads(after["ablations/plan/c-1.json"])
    assert plan["other"] == {"width": 3} and not plan.keys() & {"rve", "cgm", "wcl"}

    project.edit("rcan/model/families/other/__init__.py", "return Dropout", "return 2 * Dropout")
    assert changed_files(after, project.plan()) == own
    again = project.plan()
    project.edit("rcan/model/families/rcan/memory.py", "import torch", "import torch as torch")
    assert changed_files(again, project.plan()) == TRAINING | SCORING  # of the first family alone


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("rcan/model/families/rcan/__init__.py", '"""RCAN:', '"""RCAN, a model:'),
        ("rcan/model/families/rcan/memory.py", "import torch\n", "import torch  # a remark\n\n"),
        ("rcan/config/families/rcan.py", '"""Cross-modal', '"""The cross-modal'),
        ("rcan/model/interface.py", "import torch\n", "\n\n# A remark\nimport torch\n"),
        ("rcan/reporting/layout.py", '"""', '"""Edited. '),
        ("rcan/reporting/published.py", "import", "EDITED = True\nimport"),
        ("rcan/sharing/export.py", "import", "EDITED = True\nimport"),
        ("rcan/tracking/tracker.py", "import", "EDITED = True\nimport"),
        ("pipeline/stage.py", "import", "EDITED = True\nimport"),
        ("pipeline/tables.py", "import", "EDITED = True\nimport"),
        ("rcan/errors.py", "class", "EDITED = True\nclass"),
    ],
    ids=lambda value: value if value.endswith(".py") else "",
)
def test_what_shapes_no_training_changes_no_plan(name, old, new, copy):
    project, before = copy
    project.edit(name, old, new)
    assert changed_files(before, project.plan()) == set()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("rcan/model/families/rcan/memory.py", TRAINING | SCORING),
        ("rcan/config/families/rcan.py", TRAINING | SCORING),
        ("rcan/config/sections.py", TRAINING | SCORING),
        ("rcan/model/layers/transformer.py", TRAINING | SCORING),
        ("rcan/model/visual/cnn.py", TRAINING | SCORING),
        ("rcan/generation/beam_search.py", TRAINING | SCORING),
        ("rcan/training/loop.py", TRAINING),
        ("rcan/evaluation/bleu.py", TRAINING | SCORING),  # chooses the epoch
        ("rcan/evaluation/meteor.py", SCORING),
        ("pipeline/evaluate.py", SCORING),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_edit_of_code_changes_the_plan_of_all_that_runs_it(name, changed, copy):
    project, before = copy
    with project.at(name).open("a", encoding="utf-8") as file:
        file.write("\nEDITED = True\n")
    assert changed_files(before, project.plan()) == changed


def test_a_setting_changes_the_plan_of_the_cells_that_use_it(copy):
    project, before = copy
    raw = yaml.safe_load(project.at("params.yaml").read_text(encoding="utf-8"))
    raw["wcl"]["lambda_ce"] = 0.4
    project.at("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert changed_files(before, project.plan()) == {
        "ablations/plan/a-1.json", "data/plan/train.json",
    }  # fmt: skip


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A copy in which DVC takes all stages as done, their outputs made up but for the plans."""
    project = Repository(tmp_path_factory.mktemp("committed"), {})
    (project.folder / "ablations" / "cells.yaml").write_text(CELLS)
    runs = [f"{place}/{run}" for place in ("runs", "data/evaluation") for run in ("a-1", "b-1")]
    of_cells = [out for name in CELL_STAGES for out in written(f"ablations {name}")]
    for out in (*OUTPUTS, *of_cells, *runs):
        path = project.folder / out
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"of {out}\n")
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / "made-up.txt").write_text(f"of {out}\n")
    place = prepare(tmp_path_factory.mktemp("data"), tiny())  # whose labels a plan asks for
    shutil.copytree(place["processed"], project.folder / "data/processed", dirs_exist_ok=True)
    Copy(project.folder).plan()
    done = project.run("dvc", "commit", "--force", "--quiet")
    assert done.returncode == 0, done.stdout
    return project


def status(project: Repository) -> set[str]:
    """The stages that `dvc repro` would run."""
    return set(json.loads(project.run("dvc", "status", "--json").stdout))


def plan(project: Repository) -> None:
    """Run both stages plan, and no other."""
    for stage in sorted(PLANNING):
        code, ran, output = project.repro("--single-item", stage)
        assert (code, ran) == (0, [stage]), output


CELL_STAGES = ("cells", "controls", "cases", "tables")
CASES, TABLES = "ablations/dvc.yaml:cases", "ablations/dvc.yaml:tables"
DRAWING = {"report", CASES, TABLES}
PLANNING = {"plan", "ablations/dvc.yaml:plan"}


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("rcan/reporting/figures.py", DRAWING),
        ("rcan/reporting/layout.py", {"report", CASES}),
        ("rcan/reporting/cells/page.py", {TABLES}),
        ("rcan/reporting/beside.py", set()),
        ("pipeline/stage.py", set()),
        ("rcan/training/loop.py", PLANNING),
        ("rcan/training/run_folder.py", PLANNING | {CASES}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dvc_would_run_again_only_what_an_edit_can_change(name, stale, committed):
    path = committed.folder / name
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\nEDITED = True\n", encoding="utf-8")
    try:
        assert status(committed) == stale
    finally:
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def another(committed, tmp_path) -> Repository:
    """A copy of it, to be edited and planned."""
    shutil.copytree(committed.folder, tmp_path / "copy", symlinks=True)
    return committed.elsewhere(tmp_path / "copy")


def test_dvc_trains_nothing_again_after_a_remark_in_a_shared_layer(another):
    name = "rcan/model/layers/transformer.py"
    Copy(another.folder).edit(name, "import torch\n", "import torch  # a remark\n")
    assert status(another) == PLANNING
    plan(another)  # its files come out as they were
    assert status(another) == set()


def test_dvc_would_run_of_all_trainings_a_new_family_s_own_alone(another):
    Copy(another.folder).add_family()
    new = {f"ablations/dvc.yaml:{stage}@c-1" for stage in ("train", "evaluate")}
    new |= {CASES, TABLES}  # which read the list of cells
    assert status(another) == PLANNING | new
    plan(another)
    assert status(another) == {"ablations/dvc.yaml:cells"} | new
