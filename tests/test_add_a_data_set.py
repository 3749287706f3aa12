"""docs/data.md, "Add your own data set": done in a copy of the project, it is checked, trained on
and scored, and the copy's own tests find it at every place."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from repository import Repository
from tiny import TINY, TOP

DOC = TOP / "docs" / "data.md"
STUDIES = {"train": 12, "val": 4, "test": 4}
SENTENCES = ("The heart is large.", "Lungs are clear.", "A small nodule is seen.", "No effusion.")

# The one line that the page names, before which it comes.
REGISTER, LINE = "rcan/data/sets/__init__.py", '    "mimic_cxr": "MIMIC-CXR",\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    top = tmp_path_factory.mktemp("own")
    tiny = TINY | {"train.epochs": 1, "privacy.restricted": False, "data.num_views": 1}
    made = Repository(top / "project", {k: json.dumps(v) for k, v in tiny.items()}).warm()
    module, line = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    (made.folder / "rcan/data/sets/my_set.py").write_text(module, encoding="utf-8")
    register = made.folder / REGISTER
    text = register.read_text(encoding="utf-8")
    assert text.count(LINE) == 1
    register.write_text(text.replace(LINE, line + LINE), encoding="utf-8")
    made.set({"data.name": "my_set", "data.root": str(top / "raw"), "visual.backbone": "small",
              "visual.weights": "none", "wcl.views": "augment"})  # fmt: skip
    draw = np.random.default_rng(1)
    (top / "raw" / "images").mkdir(parents=True)
    with (top / "raw" / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "report", "image", "patient"])
        for split, count in STUDIES.items():
            for number in range(count):
                study = f"{split}-{number}"
                pixels = draw.integers(0, 256, (40, 40), dtype=np.uint8)
                Image.fromarray(pixels).save(top / "raw" / "images" / f"{study}.png")
                report = " ".join(draw.choice(SENTENCES, 3, replace=False))
                writer.writerow([study, split, report, f"{study}.png", f"p-{study}"])
    return made


def run(project, *command: str, python: str | None = None) -> str:
    done = project.run(python or project.python, *command)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_set_is_checked_trained_on_and_scored_under_its_own_name(project):
    code = "from rcan.cli import main; main()"
    told = run(project, "-c", code, "data", "check", "--json", "--quiet")
    counts = json.loads(told)["splits"]
    assert {split: counts[split]["reports"] for split in STUDIES} == STUDIES
    for stage in ("preprocess", "tokenizer", "floors", "train", "evaluate"):
        run(project, "-m", f"pipeline.{stage}")
    scores = json.loads((project.folder / "data/evaluation/main/scores.json").read_text())
    assert scores["data"] == "my_set" and scores["num_studies"] == STUDIES["test"]
    assert "BLEU-4" in scores["protocols"]["strict"]["model"]


def test_no_training_and_no_score_on_another_set_becomes_stale(project):
    code = """
from rcan.ablation.plan import evaluation_code
from rcan.training.key import training_code
print(training_code("rcan"), *(evaluation_code("rcan", name) for name in ("demo", "iu_xray")))
"""
    before = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True)
    assert len(set(before.stdout.split())) == 3, before.stderr
    assert run(project, "-c", code) == before.stdout


def test_the_tests_of_the_copy_find_it_at_every_place(project):
    names = ("tests/test_data_sets.py", "tests/test_architecture.py", "tests/test_pipeline.py")
    asked = "not overrid"  # those want the project's own params.yaml
    options = ("-q", "-n", "0", "-p", "no:cacheprovider", "-k", asked)
    run(project, "-m", "pytest", *options, *names, python=sys.executable)  # rewrites imports
