"""The DVC pipeline: its lists are complete, and from raw data to tables it runs what is needed."""

import ast
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
import yaml
from imports import TOP, closure, imported
from tiny import PARAMS, TINY

from rcan.config import load_settings

STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SCRIPTS = {name: TOP / "pipeline" / f"{name}.py" for name in STAGES}

# Code that a stage runs and that yet shapes none of its outputs, with the reason.
SHAPES_NOTHING = {
    "rcan/errors.py": "messages",
    "rcan/project.py": "finds the repository",
    "rcan/tracking": "a view of the files in MLflow, and with it reporting's published numbers",
}

# Settings that a stage reads and that reach it by the files of an earlier stage.
COMES_WITH_FILES = {
    "evaluate": "the run's own settings, in runs/main/config.json",
    "report": "data.name, scale: a change of either trains again",
}


def paths(stage: str, kind: str) -> list[str]:
    """The stage's deps, outs or metrics, without their options."""
    entries = STAGES[stage].get(kind, [])
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def written(stage: str) -> list[str]:
    return paths(stage, "outs") + paths(stage, "metrics")


def covers(listed, name: str) -> bool:
    return any(name == one or name.startswith(f"{one}/") for one in listed)


def says_nothing(path) -> bool:
    """Whether a file is empty but for its docstring."""
    return len(ast.parse(path.read_text(encoding="utf-8")).body) <= 1 and path.name == "__init__.py"


def code_of(stage: str) -> set[str]:
    """Files of the project whose content can change what the stage writes."""
    aside = {file for name in SHAPES_NOTHING for file in [TOP / name, *(TOP / name).glob("**/*.py")]}
    return {
        file.relative_to(TOP).as_posix()
        for file in closure(SCRIPTS[stage], without=aside)
        if not says_nothing(file)
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_shapes_its_outputs(stage):
    missing = {name for name in code_of(stage) if not covers(paths(stage, "deps"), name)}
    assert missing == set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_run(stage):
    run = {file.relative_to(TOP).as_posix() for file in closure(SCRIPTS[stage])}
    for listed in paths(stage, "deps"):
        if listed.endswith(".py"):
            assert listed in run, listed


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_depends_on_is_there_or_made_by_an_earlier_stage(stage):
    earlier = list(STAGES)[: list(STAGES).index(stage)]
    made = [out for name in earlier for out in written(name)]
    for listed in paths(stage, "deps"):
        assert covers(made, listed) or (TOP / listed).exists(), listed


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_run_by_the_script_of_its_name(stage):
    assert STAGES[stage]["cmd"] == f"python -m pipeline.{stage}"
    assert f"pipeline/{stage}.py" in paths(stage, "deps")
    assert STAGES[stage]["desc"]


def test_no_two_stages_write_the_same_and_git_ignores_what_dvc_keeps():
    outs = [out for stage in STAGES for out in written(stage)]
    assert len(outs) == len(set(outs))
    kept = [out for s in STAGES for out in STAGES[s]["outs"] if isinstance(out, str)]
    ignored = (TOP / ".gitignore").read_text().split()
    for out in kept:
        assert any(f"/{out}/".startswith(line) for line in ignored), out


@pytest.mark.parametrize("stage", STAGES)
def test_the_settings_that_a_stage_depends_on_exist(stage):
    for listed in STAGES[stage].get("params", []):
        section, *field = listed.split(".")
        assert section in PARAMS and all(name in PARAMS[section] for name in field), listed


def settings_read(path) -> set[str]:
    """`data.name` for each `settings.data.name` in a file, `data` where the section is taken."""
    read = set()

    class Visit(ast.NodeVisitor):
        def visit_Attribute(self, node):  # noqa: N802
            inner = node.value
            if isinstance(inner, ast.Attribute) and getattr(inner.value, "id", "") == "settings":
                read.add(f"{inner.attr}.{node.attr}")
            elif getattr(inner, "id", "") == "settings":
                read.add(node.attr)
            else:
                self.generic_visit(node)

    Visit().visit(ast.parse(path.read_text(encoding="utf-8")))
    return {name for name in read if name.split(".")[0] in PARAMS}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_settings_that_its_code_reads(stage):
    files = {SCRIPTS[stage]} if stage in COMES_WITH_FILES else closure(SCRIPTS[stage])
    read = {name for file in files for name in settings_read(file) if file.name != "config.py"}
    if stage == "report":
        read -= {"data.name", "scale"}
    listed = STAGES[stage].get("params", [])
    for name in read:
        section, dot, _ = name.partition(".")
        of_section = any(one.partition(".")[0] == section for one in listed)
        assert name in listed or section in listed or (of_section and not dot), name


def test_the_state_of_a_training_is_named_by_all_code_that_train_depends_on():
    from rcan.training.train import CODE

    for listed in paths("train", "deps"):
        if listed.startswith("rcan/"):
            assert covers(CODE, listed.removeprefix("rcan/")), listed


def test_only_tracking_is_behind_what_train_runs_without_depending_on_it():
    deps = paths("train", "deps")
    aside = {
        file for file in closure(SCRIPTS["train"])
        if not covers(deps, file.relative_to(TOP).as_posix()) and not says_nothing(file)
    }  # fmt: skip
    tracking = set().union(*map(imported, closure(TOP / "rcan" / "tracking" / "__init__.py")))
    assert aside <= tracking | {TOP / "rcan" / name for name in ("errors.py", "project.py")} | {
        file for file in aside if file.is_relative_to(TOP / "rcan" / "tracking")
    }


# params.yaml in the form that DVC's writer gives it, so that `-S` changes one line


def overridden(tmp_path, *overrides):
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    shutil.copy(TOP / "params.yaml", path)
    apply_overrides(path, list(overrides))
    return path


@pytest.mark.parametrize("override", ["wcl.tau=0.1", "train.lr_visual.paper=0.0005"])
def test_an_override_that_changes_nothing_leaves_params_yaml_as_it_is(override, tmp_path):
    path = overridden(tmp_path, override)
    assert path.read_bytes() == (TOP / "params.yaml").read_bytes()


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("model.d_model=256", "model.d_model", 256),
        ("model.d_model.demo=64", "model.d_model", 64),
        ("train.betas=[0.9,0.98]", "train.betas", [0.9, 0.98]),
        ("train.patience=5", "train.patience", 5),
        ("train.clip_norm=null", "train.clip_norm", None),
        ("train.lr=1e-5", "train.lr", 1e-5),
        ("train.lr=1e-05", "train.lr", 1e-5),
        ("data.root=/data/x y", "data.root", "/data/x y"),
        ("generate.length_penalty.demo=[0,1.5]", "generate.length_penalty", [0.0, 1.5]),
    ],
)
def test_an_override_reads_back_as_the_value_it_was(override, key, value, tmp_path):
    section, field = key.split(".")
    settings = load_settings(overridden(tmp_path, override))
    assert getattr(getattr(settings, section), field) == value


# All of it


class Repository:
    """A copy of the project of its own, at its smallest."""

    def __init__(self, folder, changes):
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True,
            text=True,
        ).stdout.split("\n")  # fmt: skip
        if "dvc.yaml" not in listed:
            pytest.skip("needs a git checkout, to know which files are the project's")
        left_out = [out for stage in STAGES for out in written(stage)] + ["dvc.lock"]
        for name in filter(None, listed):
            if (TOP / name).is_file() and not covers(left_out, name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TOP / name, folder / name)
        self.set(changes)
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("DVC", "MLFLOW", "RCAN", "GIT_", "PYTEST"))
        } | {
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1", "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        }  # fmt: skip
        self._run("git", "init", "--quiet")

    def set(self, changes) -> None:
        from dvc.utils.hydra import apply_overrides

        overrides = [f"{key}={value}" for key, value in changes.items()]
        apply_overrides(self.folder / "params.yaml", overrides)

    def _run(self, *command):
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip

    def repro(self) -> tuple[int, list[str], str]:
        """Exit code, the stages that ran, and all that was printed."""
        done = self._run(sys.executable, "-m", "dvc", "repro")
        lines = done.stdout.splitlines()
        ran = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
        return done.returncode, ran, done.stdout

    def runs(self) -> dict[str, float]:
        """MLflow's runs: name -> test BLEU-4."""
        with sqlite3.connect(self.folder / "mlflow.db") as database:
            rows = database.execute(
                "SELECT name, value FROM runs LEFT JOIN metrics "
                "ON metrics.run_uuid = runs.run_uuid AND metrics.key = 'BLEU-4'"
            ).fetchall()
        database.close()
        assert len(rows) == len(dict(rows))
        return dict(rows)


def test_repro_goes_from_raw_data_to_tables_and_then_runs_only_what_a_change_needs(tmp_path):
    counts = {"demo.num_train": 24, "demo.num_val": 8, "demo.num_test": 8, "train.epochs": 1}
    project = Repository(tmp_path, TINY | counts)

    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == list(STAGES)
    for out in (out for stage in STAGES for out in written(stage)):
        assert (tmp_path / out).exists(), out
    assert set(project.runs()) == {"RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1"}
    assert None not in project.runs().values()

    assert project.repro()[:2] == (0, [])

    project.set({"data.fit": "round"})
    code, ran, output = project.repro()
    assert (code != 0, ran) == (True, ["preprocess"])
    assert [line for line in output.splitlines() if line.startswith("error:")] == [
        "error: params.yaml: data.fit is 'round'; it must be squash, crop or pad"
    ]
    assert "Traceback" not in output

    project.set({"data.fit": "squash", "wcl.tau": 0.2})
    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == ["train", "evaluate", "report"]
    assert set(project.runs()) == {
        "RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1", "RVE+CGM+WCL tau=0.2 lambda=0.7 seed=1",
    }  # fmt: skip
    assert None not in project.runs().values()
    assert list((tmp_path / ".rcan" / "checkpoints").iterdir()) == []
