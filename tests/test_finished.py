"""Cells made before their stages: the same bytes as the stages' own, and never out of date."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from java_programs import keep_demo_parts
from tiny import TINY, TOP, changed, tiny
from warm import warm_python

from rcan.ablation import finished
from rcan.ablation.jobs import unfinished
from rcan.ablation.plan import evaluation_code
from rcan.config import load_settings
from rcan.training import key
from rcan.training.key import training_code

CELLS = "seeds: [1]\ncells: {a: {wcl.tau: 0.3}}\nreadings: {b: {}}\n"
OUTPUTS = ("runs/a-1", "data/evaluation/a-1")


def stage(
    folder: Path, name: str, *arguments: str, code: int = 0, cold: bool = False, **environment: str
) -> str:
    """Run a stage; what it printed. A `cold` start tells last which heavy packages it loaded."""
    program = (
        f"import runpy, sys; sys.argv = {[name, *arguments]}\n"
        f"try: runpy.run_module('pipeline.{name}', run_name='__main__')\n"
        "finally: print('loaded:', *sorted({'torch', 'mlflow'} & {*sys.modules}))"
    )
    warm = [warm_python(), "-m", f"pipeline.{name}", *arguments]
    done = subprocess.run(
        [sys.executable, "-c", program] if cold else warm, cwd=folder, capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{TOP}:{warm_python().parent}", **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    found = [path for out in OUTPUTS for path in sorted((folder / out).rglob("*"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def missing(folder: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return unfinished(
            load_settings(), root=folder, runs=Path("runs"), evaluations=Path("data/evaluation"),
            processed=Path("data/processed"), tokenizer=Path("data/tokenizer.json"),
            floors=Path("data/floors.json"),
        )  # fmt: skip


def set_params(folder: Path, **changes: object) -> None:
    values = TINY | changes
    (folder / "params.yaml").write_text(yaml.safe_dump(changed(values)), encoding="utf-8")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A project whose one cell is neither trained nor scored."""
    folder = tmp_path_factory.mktemp("planned")
    set_params(folder)
    keep_demo_parts(folder)
    (folder / "dvc.yaml").touch()
    (folder / "ablations").mkdir()
    (folder / "ablations" / "cells.yaml").write_text(CELLS)
    for name in ("preprocess", "tokenizer", "floors", "plan"):
        stage(folder, name)
    return folder


@pytest.fixture(scope="module")
def made(planned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "work"
    shutil.copytree(planned, folder)
    assert missing(folder) == ["a-1"]
    stage(folder, "cells")
    return folder


def test_stages_take_what_was_made_without_torch_and_it_is_the_same_bytes(planned, made, tmp_path):
    own, folder = tmp_path / "own", tmp_path / "made"
    shutil.copytree(planned, own)
    shutil.copytree(made, folder)
    assert missing(folder) == [] and list(folder.glob(".rcan/checkpoints/*")) == []
    for name in ("train", "evaluate"):
        assert stage(own, name, "a-1", cold=True).splitlines()[-1] != "loaded:"
        printed = stage(folder, name, "a-1", cold=True)
        assert "already, by stage cells" in printed and printed.splitlines()[-1] == "loaded:"
    assert len(files(own)) == 8 and files(folder) == files(own)
    assert missing(folder) == missing(own) == []
    for project in (own, folder):  # what the stages have is not kept a second time
        assert [list(kept.iterdir()) for kept in project.glob("data/work/finished/*/")] == [[]]


def test_a_curriculums_base_is_trained_before_it_as_a_cell_or_with_it(planned, tmp_path):
    plain = "model.use_rve: false, model.use_cgm: false, model.use_wcl: false"
    cells = (
        f"cells: {{c: {{{plain}, curriculum.name: cmcl}}, t: {{{plain}}}}}\nreadings: {{b: {{}}}}"
    )
    weights = []
    for only, is_first in (("c-1 t-1", False), ("c-1", True)):
        folder = tmp_path / only
        shutil.copytree(planned, folder)
        (folder / "ablations" / "cells.yaml").write_text(f"seeds: [1]\n{cells}\n")
        stage(folder, "plan")
        stage(folder, "cells", RCAN_CELLS=only, RCAN_JOBS="2")
        log = (folder / ".rcan" / "logs" / "c-1.txt").read_text()
        assert ("is trained first" in log) is is_first
        (run,) = (
            best.parent
            for best in folder.glob("data/work/finished/*/best.json")
            if "cmcl" in json.loads(best.read_text())["name"]
        )
        weights.append((run / "best.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_stage_that_is_stopped_before_dvc_saves_its_output_finds_it_again(made, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(made, folder)
    for _ in range(2):
        assert "already, by stage cells" in stage(folder, "train", "a-1")
        shutil.rmtree(folder / "runs")
    assert missing(folder) == []


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"eval.resamples": 200}, True),
        ({"eval.seed": 2}, True),
        ({"train.lr": 0.002}, False),
        ({"wcl.lambda_ce": 0.6}, False),
    ],
)
def test_other_settings_leave_it_where_it_is(change, kept, made, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(made, folder)
    set_params(folder, **change)
    stage(folder, "plan")
    assert missing(folder) == ["a-1"]
    printed = stage(folder, "train", "a-1")
    assert ("already, by stage cells" in printed) == kept
    assert "already" not in stage(folder, "evaluate", "a-1")
    assert missing(folder) == []


@pytest.mark.parametrize("what", ["code", "floors", "tokenizer", "run"])
def test_whatever_an_evaluation_is_made_of_gives_another_digest(what, made, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shutil.copytree(made, folder)
    stage(folder, "train", "a-1")

    def digest() -> str:
        return finished.of_evaluation(
            load_settings(folder / "params.yaml"), folder / "runs" / "a-1",
            processed=folder / "data" / "processed",
            tokenizer=folder / "data" / "tokenizer.json", floors=folder / "data" / "floors.json",
        )  # fmt: skip

    before = digest()
    assert digest() == before
    if what == "code":
        monkeypatch.setattr(finished, "evaluation_code", lambda *_: "of other code")
    else:
        names = {"run": "runs/a-1/best.safetensors"}
        path = folder / names.get(what, f"data/{what}.json")
        path.write_bytes(path.read_bytes() + b"\n")
    assert digest() != before


def test_a_failure_leaves_nothing_that_could_be_taken(tmp_path):
    def fails(out: Path) -> None:
        out.mkdir()
        (out / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        finished.make(tmp_path, "0", fails)
    assert not finished.is_ready(tmp_path, "0") and not finished.was_taken(tmp_path, "0")
    assert not finished.take(tmp_path, "0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cell_that_cannot_be_scored_is_trained_all_the_same(planned, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(planned, folder)
    test = folder / "data" / "processed" / "test.npy"
    aside = test.rename(tmp_path / "test.npy")
    stage(folder, "cells", code=1)
    assert missing(folder) == ["a-1"]
    aside.rename(test)
    stage(folder, "cells")
    log = (folder / ".rcan" / "logs" / "a-1.txt").read_text()
    assert "strict" in log and "epoch" not in log  # only the scores were missing
    assert missing(folder) == []


def test_of_several_processes_the_first_alone_leaves_something(tmp_path):
    assert not finished.make(tmp_path, "0", lambda out: None)
    assert not finished.was_taken(tmp_path, "0")


def test_stage_cells_takes_the_cells_that_are_asked_for_alone(planned, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(planned, folder)
    stage(folder, "cells", RCAN_CELLS="b-1")  # which equals main: nothing is to be trained
    assert missing(folder) == ["a-1"]
    stage(folder, "cells", RCAN_CELLS="c-1", code=1)
    assert missing(folder) == ["a-1"]


def test_results_that_no_stage_had_for_a_month_are_removed(tmp_path):
    for digest in ("old", "new"):
        assert finished.make(tmp_path, digest, Path.mkdir)
    os.utime(finished.place(tmp_path, "old"), (0, 0))
    (earlier := tmp_path / "data" / "work" / "ahead" / "x").mkdir(parents=True)
    finished.forget_old(tmp_path)
    assert not earlier.parent.exists()
    assert not finished.was_taken(tmp_path, "old") and finished.was_taken(tmp_path, "new")


def test_results_are_named_by_the_code_that_the_plan_of_their_cell_holds(planned, monkeypatch):
    plan = planned / "ablations" / "plan"
    trained, scored = (json.loads((plan / n / "a-1.json").read_text()) for n in ("", "scoring"))
    inputs = (planned / "data" / "processed", planned / "data" / "tokenizer.json")
    assert key.input_parts(tiny(), *inputs)["code"] == trained["code"] == training_code("rcan")
    assert scored == {"code": evaluation_code("rcan", "demo")} != {"code": trained["code"]}
    before = finished.of_training(tiny(), *inputs)
    monkeypatch.setattr(key, "training_code", lambda *asked: "of other code")
    assert finished.of_training(tiny(), *inputs) != before


def test_a_trainings_digest_knows_its_settings(planned):
    inputs = (planned / "data" / "processed", planned / "data" / "tokenizer.json")
    assert finished.of_training(tiny(), *inputs) == finished.of_training(tiny(), *inputs)
    assert finished.of_training(tiny({"wcl.tau": 0.4}), *inputs) != finished.of_training(
        tiny(), *inputs
    )
