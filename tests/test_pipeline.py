"""The DVC pipeline: each stage names all that its outputs depend on."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from imports import TOP, closure, file_of
from tiny import PARAMS

from pipeline import stage as place_of_stages
from rcan.ablation.plan import evaluation_code, write_main_plan
from rcan.code import SHAPES_NOTHING, shaping_nothing
from rcan.config import load_settings
from rcan.config.families import family_class, family_names
from rcan.training.key import CURRICULUM, POLICY_GRADIENT, modules_of, training_code


def stages_of(file: str) -> dict[str, dict]:
    return yaml.safe_load((TOP / file).read_text(encoding="utf-8"))["stages"]


MAIN, CELLS = stages_of("dvc.yaml"), stages_of("ablations/dvc.yaml")
STAGES = MAIN | {f"ablations {name}": stage for name, stage in CELLS.items()}
NAMES = {stage: STAGES[stage]["cmd"].split()[2].removeprefix("pipeline.") for stage in STAGES}
SCRIPTS = {stage: TOP / "pipeline" / f"{name}.py" for stage, name in NAMES.items()}

SETS = sorted((TOP / "rcan/data/sets").rglob("*.py"))
KINDS = ("", "_reading")
PLAN_OF_A_CELL = "ablations/plan/${key}.json"
SCORING_OF_A_CELL = "ablations/plan/scoring/${key}.json"
# Stages that depend on the code they run by its digest, which stage plan writes into these files.
BY_DIGEST = {
    "train": {"data/plan/train.json"},
    "evaluate": {"data/plan/evaluate.json"},
    "ablations cells": {"ablations/plan"},
    **{f"ablations train{kind}": {PLAN_OF_A_CELL} for kind in KINDS},
    **{f"ablations evaluate{kind}": {PLAN_OF_A_CELL, SCORING_OF_A_CELL} for kind in KINDS},
}
DRAWN = "rcan/table.py"  # shapes what these stages write; others print a table
DRAWING = ("report", "tables")
# Files in the code that are no code, and the module that reads each.
DATA = {
    "rcan/data/sets/iu_xray_studies.csv": "rcan/data/sets/iu_xray_layouts.py",
    "rcan/reporting/beside.html": "rcan/reporting/beside_tables.py",
    "rcan/reporting/cases.md": "rcan/reporting/cases.py",
    "rcan/reporting/cells/page.css": "rcan/reporting/cells/page.py",
    "rcan/reporting/cells/page.html": "rcan/reporting/cells/page.py",
    "rcan/reporting/examples.md": "rcan/reporting/examples.py",
    "rcan/reporting/paper": "rcan/reporting/published.py",
    "rcan/reporting/results.md": "rcan/reporting/report.py",
}
DATA_SUFFIXES = {".csv", ".css", ".html", ".md"}
PLANS = ("plan", "ablations plan")
WRITES = ("rcan.ablation.plan", "rcan.code")  # cells depend on what these write, plan on them
HANDED_OVER = {"pipeline/train.py"}  # hands settings and places to rcan.training.train, no more

# Stages that read the settings of the run from runs/main/config.json, whose change reruns them, and
# what their scripts read of params.yaml all the same, since a change of it trains again.
# Settings that shape what is told, not what is written, with the place that reads them.
OF_ERRORS = {"privacy.restricted": "pipeline/stage.py"}
OF_THE_RUN = {
    "evaluate": set(),
    "report": {"data.name", "scale"},
    "ablations cases": set(),
    "ablations tables": set(),
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


def is_of_config(path: Path) -> bool:
    return path.is_relative_to(TOP / "rcan" / "config")


def names_of(files) -> set[str]:
    return {file.relative_to(TOP).as_posix() for file in files if not says_nothing(file)}


def run_by(stage: str) -> list[Path]:
    """The modules that a stage's work begins with; data sets and families load by their names."""
    by_name = SETS if stage == "preprocess" else digested() if stage in PLANS else ()
    return [SCRIPTS[stage], *by_name]


def digested() -> list[Path]:
    """The modules whose code, and that of all they import, stage plan digests."""
    modules = {name for family in family_names() for name in modules_of(family)}
    begun = ("rcan.training.train", CURRICULUM, POLICY_GRADIENT, "pipeline.evaluate")
    return [file_of(name) for name in (*begun, *modules)] + SETS


def code_of(stage: str) -> set[str]:
    """Files of the project whose content can change what the stage writes."""
    aside = shaping_nothing()
    if NAMES[stage] in DRAWING:
        aside.remove(TOP / DRAWN)
    shaped = closure(run_by(stage), without=aside)
    if stage in PLANS:  # the digests and what they are made with
        own = closure([SCRIPTS[stage]], without=aside - {file_of(n) for n in WRITES})
        shaped |= own
    return names_of(shaped)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_shapes_its_outputs(stage):
    listed, code = paths(stage, "deps"), code_of(stage)
    if stage in BY_DIGEST:
        assert BY_DIGEST[stage] <= set(listed)
        code -= names_of(closure(digested(), without=shaping_nothing())) | HANDED_OVER
    assert {name for name in code if not covers(listed, name)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_run(stage):
    """A folder is listed where all of its modules are run, those to come with them."""
    run = names_of(closure(run_by(stage)))
    for listed in paths(stage, "deps"):
        if listed.endswith(".py"):
            assert listed in run or says_nothing(TOP / listed), listed
        elif listed.startswith("rcan/"):
            assert names_of((TOP / listed).rglob("*.py")) <= run, listed


def test_every_file_of_data_has_the_module_that_reads_it():
    files = {path for path in (TOP / "rcan").rglob("*.*") if path.suffix in DATA_SUFFIXES}
    names = {path.relative_to(TOP).as_posix() for path in files}
    assert {name for name in names if not covers(DATA, name)} == set()
    assert all((TOP / name).exists() for name in DATA)
    for name, module in DATA.items():
        assert Path(name).stem in (TOP / module).read_text(encoding="utf-8"), module


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_data_that_its_code_reads_and_on_no_other(stage):
    code = code_of(stage)
    read = {name for name, module in DATA.items() if module in code}
    assert {name for name in DATA if covers(paths(stage, "deps"), name)} == read


@pytest.mark.parametrize("stage", STAGES)
def test_code_that_shapes_nothing_makes_no_stage_run_again(stage):
    files = {path for path in shaping_nothing() if path.suffix} - {file_of(n) for n in WRITES}
    aside = names_of(files) - ({DRAWN} if NAMES[stage] in DRAWING else set())
    aside.remove("rcan/data/sets/__init__.py")  # in a folder that is listed whole
    assert {name for name in aside if covers(paths(stage, "deps"), name)} == set()


def test_what_shapes_nothing_is_there():
    for name in SHAPES_NOTHING:
        assert (TOP / name).exists(), name


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_depends_on_is_there_or_made_by_an_earlier_stage(stage):
    earlier = list(STAGES)[: list(STAGES).index(stage)]
    made = [out for name in earlier for out in written(name)]
    for listed in paths(stage, "deps"):
        parts_are_made = any(out.startswith(f"{listed}/") for out in made)
        assert covers(made, listed) or parts_are_made or (TOP / listed).exists(), listed


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_run_by_the_script_of_its_name(stage):
    name = NAMES[stage]
    of_cells = "matrix" in STAGES[stage]
    arguments = " main" * (stage == "plan") + " ${key}" * of_cells
    assert STAGES[stage]["cmd"] == f"python -m pipeline.{name}{arguments}"
    assert stage.split()[-1].removesuffix("_reading") == name
    by_digest = stage in BY_DIGEST and name in ("train", "evaluate")
    assert (f"pipeline/{name}.py" in paths(stage, "deps")) != by_digest
    assert STAGES[stage]["desc"]
    assert stage in MAIN or STAGES[stage]["wdir"] == ".."


def test_no_two_stages_write_the_same_and_git_ignores_what_dvc_keeps():
    outs = [out for stage in STAGES if not stage.endswith("_reading") for out in written(stage)]
    assert len(outs) == len(set(outs))
    kept = [
        out
        for stage in STAGES
        for entry in STAGES[stage].get("outs", [])
        for out, options in (entry.items() if isinstance(entry, dict) else [(entry, {})])
        if options.get("cache", True)
    ]
    text = (TOP / ".gitignore").read_text()
    ignored = [*text.replace("**/", "").split(), *text.replace("**/", "cases/").split()]
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
        def visit_Attribute(self, node):
            inner = node.value
            if isinstance(inner, ast.Attribute) and getattr(inner.value, "id", "") == "settings":
                read.add(f"{inner.attr}.{node.attr}")
            elif getattr(inner, "id", "") == "settings":
                read.add(node.attr)
            else:
                self.generic_visit(node)

    Visit().visit(ast.parse(path.read_text(encoding="utf-8")))
    return {name for name in read if name.split(".")[0] in PARAMS}


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> dict[str, dict]:
    """What stage plan writes of the main run: file -> content."""
    folder = tmp_path_factory.mktemp("plan")
    write_main_plan(load_settings(TOP / "params.yaml"), folder / "plan")
    found = (folder / "plan").iterdir()
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_settings_that_its_code_reads(stage, plan):
    listed, planned = STAGES[stage].get("params", []), {}
    if stage in PLANS:  # all of them
        assert "params.yaml" in paths(stage, "deps") and not listed
        return
    if stage in BY_DIGEST and (stage not in MAIN or stage == "train"):
        planned = plan["train.json"]
    own = [SCRIPTS[stage]]
    files = own if stage in OF_THE_RUN else closure(own, without=shaping_nothing())
    read = {name for file in files for name in settings_read(file) if not is_of_config(file)}
    for name in read - OF_THE_RUN.get(stage, set()) - OF_ERRORS.keys():
        section, dot, field = name.partition(".")
        of_section = any(one.partition(".")[0] == section for one in listed)
        is_listed = name in listed or section in listed or (of_section and not dot)
        in_the_plan = section in planned and (section != "data" or field in planned["data"])
        assert is_listed or in_the_plan, name


def test_the_plan_of_the_main_run_digests_the_code_that_trains_and_scores_it(plan):
    assert plan["train.json"]["code"] == training_code("rcan")
    others = {s for name in family_names() for s in family_class(name).model_fields}
    others -= family_class("rcan").model_fields.keys()
    assert plan["train.json"].keys() - {"code", "scale"} == PARAMS.keys() - others - {
        "scale", "demo", "eval", "privacy",
    }  # fmt: skip
    assert plan["evaluate.json"] == {"code": evaluation_code("rcan", PARAMS["data"]["name"])}


def test_make_repro_runs_the_stages_by_the_python_of_its_own_environment(tmp_path):
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("dvc", "command -v python"), ("python", "")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(TOP / name, tmp_path / name)
    (programs.parent / "ready").touch()
    done = subprocess.run(
        ["make", "--silent", "repro"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(programs / "python"), done.stderr


# The place that a stage runs in


def ended() -> str | int | None:
    """What a stage ends with that would do nothing in the current folder."""
    with pytest.raises(SystemExit) as stopped:
        place_of_stages.run(lambda _: sys.exit("the stage began"))
    return stopped.value.code


@pytest.fixture
def place(empty_project, monkeypatch):
    """A folder with settings for a stage to run in, and no experiment."""
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    shutil.copy(TOP / "params.yaml", empty_project)
    yield empty_project
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_all_folders_that_hold_what_stages_write_may_be_no_links():
    parents = {
        parent.as_posix()
        for name in STAGES
        for out in written(name)
        for parent in Path(out.replace("${key}", "x")).parents
    } - {"."}
    assert parents == {folder.as_posix() for folder in place_of_stages.HOLDING}


@pytest.mark.parametrize("name", ["data", "runs", "reports"])
def test_a_link_out_of_the_project_is_refused_before_any_work(name, place, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    (place / name).symlink_to(disk)
    code = ended()
    assert code.startswith(f"error: expected {name} to be a folder, found a link to {disk}, ")
    assert "RCAN_DATA" in code and "dvc cache dir" in code and "mount --bind" in code
    (place / name).unlink()
    assert ended() == "the stage began"


@pytest.mark.parametrize("name", ["data", "runs", ".rcan", "mlartifacts", "reports/examples"])
def test_git_ignores_what_is_written_behind_a_link_too(name, tmp_path):
    shutil.copy(TOP / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to("/elsewhere")
    done = subprocess.run(["git", "check-ignore", name], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0


def test_an_experiment_that_a_shallow_clone_would_lose_is_refused_before_any_work(
    place, monkeypatch, tmp_path
):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (
        ("init", "-q"), ("add", "."), (*who, "commit", "-qm", "first"),
        (*who, "commit", "-qm", "second", "--allow-empty"),
        ("clone", "-q", "--depth", "1", place.as_uri(), "shallow"),
    ):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=place, check=True)
    monkeypatch.setenv("DVC_ROOT", str(place / "shallow"))
    monkeypatch.setenv("DVC_EXP_NAME", "queued")
    assert "git fetch --unshallow" in ended()
    monkeypatch.chdir(place / "shallow")  # an experiment in the project itself is kept
    assert ended() == "the stage began"
    monkeypatch.chdir(place)
    monkeypatch.setenv("DVC_ROOT", str(place / "full"))
    subprocess.run(["git", "clone", "-q", place.as_uri(), "full"], cwd=place, check=True)
    assert ended() == "the stage began"


def started(folder: Path, **variables: str) -> str:
    """What a stage says that is started by Python in a folder without settings."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.report"], cwd=folder, env={**os.environ, **variables},
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MPLBACKEND", "module://matplotlib_inline.backend_inline"),
        ("MPLBACKEND", "Qt4Agg"),
        ("PYTHONWARNINGS", "error"),
        ("PYTHONOPTIMIZE", "2"),
        ("LC_ALL", "C"),
        ("TMPDIR", "/nowhere"),
    ],
)
def test_a_variable_for_another_program_keeps_no_stage_from_its_work(name, value, tmp_path):
    said = started(tmp_path, **{name: value})
    assert said.splitlines()[-1:] == [
        "error: params.yaml not found: run from the top folder of the project"
    ]


def test_numpy_multiplies_on_one_thread_in_a_stage_whatever_another_tool_asked_for():
    code = "import os, sys; sys.argv[0] = '-m'; import pipeline; print(os.environ[sys.argv[1]])"
    name = "OPENBLAS_NUM_THREADS"
    done = subprocess.run(
        [sys.executable, "-c", code, name], cwd=TOP, env={**os.environ, name: "7"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1\n"


def test_a_stage_runs_by_no_other_folders_code(tmp_path):
    said = started(tmp_path, PYTHONSAFEPATH="1")
    assert said == (
        "error: expected Python to take the code of this folder: unset PYTHONSAFEPATH\n"
    )


def made(folder: Path) -> list[str]:
    """What `make setup` says, by programs that do nothing, and what it asks Python for."""
    done = subprocess.run(
        ["make", "setup", f"PYTHON={folder.parent / 'python'}"], cwd=folder, capture_output=True,
        text=True, check=True, env={"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": "/another"},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_an_environment_that_was_copied_or_moved_is_made_anew(tmp_path):
    project = tmp_path / "a b"
    (project / ".venv" / "bin").mkdir(parents=True)
    for program in (tmp_path / "python", *(project / ".venv/bin" / n for n in ("python", "uv"))):
        program.write_text('#!/bin/sh\ncase "$1" in -c) ;; *) echo "$VIRTUAL_ENV: $@";; esac\n')
        program.chmod(0o755)
    (project / "pyproject.toml").touch()
    (project / "requirements.lock").write_text("uv==1\n")
    shutil.copy(TOP / "Makefile", project)
    first = made(project)
    assert f"{project}/.venv: -m venv .venv" in first  # not into the one that is active
    assert made(project) == ["make: Nothing to be done for 'setup'."]
    moved = project.rename(tmp_path / "moved")
    second = made(moved)
    assert second[0] == f"This .venv was set up in {project}: it is made anew"
    assert f"{moved}/.venv: -m venv --clear .venv" in second
    assert made(moved) == ["make: Nothing to be done for 'setup'."]


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
        ("visual.channels=[8,16]", "visual.channels", [8, 16]),
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
