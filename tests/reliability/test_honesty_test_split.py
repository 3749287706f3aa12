"""The test split is closed until `evaluate`: nothing before it opens the files, let alone reads."""

import json
import subprocess

import pytest
from java_programs import python_java
from stages import copy, make, results
from tiny import tiny
from warm import warm_python

from rcan.data.preprocess import preprocess

pytestmark = pytest.mark.computes  # torch is named in a string alone

CLOSED = ("test.npy", "test.jsonl")

# Runs stages in one process and tells, for each, how it ended and which files it opened, in order.
# A folder that is not there is made from the whole run by OTHERS.
STAGES_WATCHED = """
import json, os, sys
from importlib import import_module
from pathlib import Path

sys.modules["mlflow"] = None  # as if there were no tracker
jobs, java, told_in = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
del sys.argv[1:]  # a stage reads there which run is meant

import torch
from rcan.config import load_settings
from rcan.errors import UserError
from rcan.evaluation import meteor

torch.set_num_threads(1)
meteor._find_java = lambda named: java
opened, told = [], []
sys.addaudithook(lambda event, about: opened.append(str(about[0])) if event == "open" else None)
for folder, stage, made_by in jobs:
    if not os.path.exists(folder):
        exec(made_by, {"here": Path(folder), "top": Path(folder).parent})
    os.chdir(folder)
    opened.clear()
    try:
        import_module(f"pipeline.{stage}").main(load_settings())
        ended = "well"
    except UserError as error:
        ended = str(error)
    told.append({"ended": ended, "opened": [os.path.basename(name) for name in opened]})
with open(told_in, "w") as file:
    json.dump(told, file)
"""

OTHERS = {
    "other-tokenizer": """
import shutil
shutil.copytree(top / "whole", here)
path = here / "data" / "tokenizer.json"
path.write_text(path.read_text() + "\\n")  # not one word is another
""",
    "other-data": """
import shutil
shutil.copytree(top / "whole", here, ignore=shutil.ignore_patterns("processed"))
shutil.copytree(top / "processed", here / "data" / "processed")
""",
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """(folder, stage) -> how it ended and what it opened; `blind` has no readable test split."""
    top = tmp_path_factory.mktemp("watched")
    whole = make(top / "whole", {"train.epochs": 2})
    java = python_java(top / "java")

    def run(*jobs: tuple[str, str]) -> dict:
        told = top / "told.json"
        asked = json.dumps([(str(top / f), stage, OTHERS.get(f, "")) for f, stage in jobs])
        done = subprocess.run(
            [warm_python(), "-c", STAGES_WATCHED, asked, str(java), str(told)],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return dict(zip(jobs, json.loads(told.read_text()), strict=True))

    settings = tiny()
    for seed, folder in ((1, whole / "data"), (2, top)):
        preprocess(
            name="demo", root=None, image_size=settings.data.image_size, fit=settings.data.fit,
            **settings.demo.model_dump() | {"seed": seed}, out=folder / "processed",
            work=top / "work",
        )  # fmt: skip
    blind = copy(whole, top / "blind")
    for name in CLOSED:
        path = blind / "data" / "processed" / name
        path.unlink()
        path.mkdir()  # so that whoever opens it fails, root too
    stages = ("tokenizer", "floors", "train", "evaluate")
    jobs = [(folder, stage) for folder in ("whole", "blind") for stage in stages]
    return top, run(*jobs, ("whole", "report"), *((folder, "evaluate") for folder in OTHERS))


def test_no_stage_before_evaluate_opens_the_test_split(watched, figure):
    _, found = watched
    for folder in ("whole", "blind"):
        for stage in ("tokenizer", "train"):
            assert found[folder, stage]["ended"] == "well"
            assert {"train.npy", "train.jsonl"} <= set(found[folder, stage]["opened"]), stage
            assert not set(CLOSED) & set(found[folder, stage]["opened"]), stage
            figure("honesty", "checks that held", 1)


def test_tokenizer_and_training_end_in_the_same_bits_without_a_test_split(watched, figure):
    top, _ = watched
    whole, blind = results(top / "whole"), results(top / "blind")
    trained = [name for name in whole if name.startswith(("runs/", "data/tokenizer.json"))]
    assert {"runs/main/best.safetensors", "runs/main/history.csv"} <= set(trained)
    for name in trained:
        assert whole[name] == blind[name], name
        figure("honesty", "checks that held", 1)


def test_evaluate_opens_it_once_the_run_is_chosen_and_fails_without(watched, figure):
    _, found = watched
    opened = found["whole", "evaluate"]["opened"]
    assert found["whole", "evaluate"]["ended"] == "well"
    for name in CLOSED:
        assert opened.index("best.json") < opened.index(name)
        figure("honesty", "checks that held", 1)
    assert "test.npy: expected packed images" in found["blind", "evaluate"]["ended"]
    figure("honesty", "checks that held", 1)


def test_report_reads_it_once_the_scores_are_there(watched, figure):
    _, found = watched
    opened = found["whole", "report"]["opened"]
    assert found["whole", "report"]["ended"] == "well"
    for name in CLOSED:
        assert opened.index("scores.json") < opened.index(name)
        figure("honesty", "checks that held", 1)


@pytest.mark.parametrize("what", ["data", "tokenizer"])
def test_a_run_is_evaluated_on_the_data_and_tokenizer_it_was_trained_with(what, watched, figure):
    _, found = watched
    ended = found[f"other-{what}", "evaluate"]["ended"]
    assert f"expected what the run was trained on, with the {what}_digest of best.json" in ended
    assert ended.endswith("run `dvc repro train`")
    assert not set(CLOSED) & set(found[f"other-{what}", "evaluate"]["opened"])
    figure("honesty", "checks that held", 1)
