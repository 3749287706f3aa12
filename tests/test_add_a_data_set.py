"""docs/data.md, "Add your own data set": done in a copy of the project, it is checked, trained on
and scored, and the copy's own tests find it at every place."""

import csv
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image
from repository import Repository
from tiny import TINY, TOP

DOC = TOP / "docs" / "data.md"
STUDIES = {"train": 12, "val": 4, "test": 4}
SENTENCES = ("The heart is large.", "Lungs are clear.", "A small nodule is seen.", "No effusion.")

# Each place that the page names: what stands there, and what comes in its place.
EDITS = [
    ("rcan/data/preprocess.py", '    elif name == "mimic_cxr"',
     '    elif name == "my_set":\n        data = read_my_set(root)\n    elif name == "mimic_cxr"'),
    ("rcan/data/preprocess.py", "from rcan.data.overlap",
     "from rcan.data.my_set import read_my_set\nfrom rcan.data.overlap"),
    ("dvc.yaml", "    - rcan/data/overlap.py\n",
     "    - rcan/data/my_set.py\n    - rcan/data/overlap.py\n"),
    ("rcan/text/cleaning.py", '    "demo": cl', '    "my_set": clean_iu_xray,\n    "demo": cl'),
    ("rcan/config/sections.py", 'name: Literal["demo", ', 'name: Literal["demo", "my_set", '),
    ("rcan/config/resolve.py", 'PROFILES = ("demo", ', 'PROFILES = ("demo", "my_set", '),
    ("rcan/data/check.py", 'NAMES = ("iu_xray", ', 'NAMES = ("my_set", "iu_xray", '),
    ("rcan/data/check.py", 'if name == "mimic_cxr" else read_iu_xray(root)',
     'if name == "mimic_cxr" else {"my_set": read_my_set}.get(name, read_iu_xray)(root)'),
    ("rcan/data/check.py", "from rcan.data.selection",
     "from rcan.data.my_set import read_my_set\nfrom rcan.data.selection"),
    ("rcan/reporting/cells/wording.py", "DATA = {", 'DATA = {\n    "my_set": "My set",'),
    *(("rcan/sharing/sources.py", f"{name} = {{", f'{name} = {{\n    "my_set": "my own",')
      for name in ("NAMES", "WHAT", "TERMS")),
    ("rcan/cli/options.py", 'Data = Literal["iu', 'Data = Literal["my_set", "iu'),
    ("rcan/scoring/score_reports.py", 'MIN_FREQ = {"demo"', 'MIN_FREQ = {"my_set": 1, "demo"'),
    ("rcan/scoring/score_reports.py", 'MAX_LENGTH = {"demo"', 'MAX_LENGTH = {"my_set": 40, "demo"'),
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    top = tmp_path_factory.mktemp("own")
    tiny = TINY | {"train.epochs": 1, "privacy.restricted": False, "data.num_views": 1}
    made = Repository(top / "project", {k: json.dumps(v) for k, v in tiny.items()})
    (reader,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    (made.folder / "rcan/data/my_set.py").write_text(reader, encoding="utf-8")
    for name, old, new in EDITS:
        path = made.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, name
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
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


def run(project, *command: str) -> str:
    done = project.run(sys.executable, *command)
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


def test_the_tests_of_the_copy_find_it_at_every_place(project):
    names = ("tests/test_data_sets.py", "tests/test_architecture.py", "tests/test_pipeline.py")
    asked = "not overrid"  # those want the project's own params.yaml
    run(project, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", asked, *names)
