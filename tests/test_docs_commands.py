"""Every command that README and docs print: those of `rcan` are run, of others the settings, stages
and targets that they name are there."""

import csv
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from dicom_files import write as write_dicom
from handed_on import make_project
from java_programs import python_java
from mimic_tree import make_studies, write_tree
from PIL import Image
from test_pipeline import overridden
from tiny import TOP

from rcan.cli import main
from rcan.config import load_settings
from rcan.sharing.export import export

PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
SENTENCES = ("The heart is normal in size.", "The lungs are clear.", "No pleural effusion.")

# Which command is run elsewhere, and by what: they wait, need a server, or a trained cell.
ELSEWHERE = {
    "rcan ui": "test_cli.py", "rcan ui --published": "test_cli.py",
    "rcan sync": "test_cli.py", "rcan doctor": "test_machine.py",
    "rcan submit --partition gpu": "test_cluster.py",
    "rcan export --register": "test_sharing.py",
    "rcan export rve_cgm-1 my-model": "test_cli_generate.py",
    "rcan compare main lrcn-1": "test_add_a_system.py",
    "rcan compare main rve_cgm-1": "test_cli_compare.py",
    "rcan data import /where/it/is --data iu_xray": "test_cli_data.py",
    "rcan compare reports/iu_xray-small/runs/main reports/iu_xray-small/runs/blind-1":
        "test_publish.py",
    **dict.fromkeys(
        (
            "rcan score mine.csv annotation.json --beside reports/iu_xray-small/runs",
            "rcan score mine.csv annotation.json --beside reports/iu_xray-small/runs"
            " --html mine.html",
            "rcan score res.csv annotation.json --beside reports/iu_xray-small/runs",
            "rcan score res.csv gts.csv --train annotation.json"
            " --beside reports/iu_xray-small/runs",
            "rcan score mine.csv annotation.json --rexrank out.json",
            "rcan score mine.csv ReXRank_IUXray_test.json --rexrank out.json",
        ),
        "test_score_beside.py",
    ),
}  # fmt: skip
PLACES = {
    "/where/it/is": "mimic", "/physionet/mimic-cxr-jpg/2.1.0": "jpg",
    "/physionet/mimic-cxr/2.0.0": "texts", "*.jpg": "a.jpg",
}  # fmt: skip
OF_THE_SHELL = ("ssh", "source", "export", "git", "pip", "printf", "curl", "mlflow", "ln", "rm")


def commands() -> list[str]:
    """One a line, without comments, in the order of the pages; what stands twice once."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    found.append(shlex.join(words).replace("'*.jpg'", "*.jpg"))
    return list(dict.fromkeys(found))


COMMANDS = commands()
OURS = [command for command in COMMANDS if command.startswith("rcan ")]


def table(path: Path, column: str, number: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", column])
        for study in range(number):
            count = draw.integers(1, 4)
            writer.writerow([f"s{study}", " ".join(draw.choice(SENTENCES, count, replace=False))])


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A trained project with all the files that the pages speak of."""
    root = tmp_path_factory.mktemp("project")
    images = make_project(root)
    picture = sorted(images.glob("test-*/*.png"))[0]
    (root / "patient-7").mkdir()
    for name in (
        "chest.png",
        "front.png",
        "side.png",
        "a.jpg",
        "patient-7/frontal.png",
        "patient-7/lateral.png",
    ):
        Image.open(picture).save(root / name)
    write_dicom(root / "scan.dcm", np.random.default_rng(1).integers(0, 4096, (64, 60)))
    shutil.copytree(root / "runs" / "main", root / "runs" / "rve_cgm-1")
    for number, name in enumerate(("predictions", "a", "b", "c")):
        table(root / f"{name}.csv", "prediction", 12, number)
    table(root / "references.csv", "report", 12, 9)
    table(root / "train.csv", "report", 40, 8)
    texts = rows_of(root / "references.csv")
    records = [{"id": row["id"], "report": row["report"], "image_path": []} for row in texts]
    annotation = {"train": records, "val": records, "test": records}
    (root / "annotation.json").write_text(json.dumps(annotation))
    scores = {
        f"{split}_BLEU-{n}": f"{0.4 / n:.17f}" for split in ("val", "test") for n in range(1, 5)
    }
    with (root / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", *scores])
        writer.writeheader()
        writer.writerow({"epoch": 1, **scores})
    evaluation = root / "data" / "evaluation" / "main"
    evaluation.mkdir(parents=True)
    rows = zip(texts, rows_of(root / "predictions.csv"), strict=True)
    with (evaluation / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "reference", "prediction"])
        writer.writerows([a["id"], a["report"], b["prediction"]] for a, b in rows)
    made = make_studies(30, seed=1)
    write_tree(root / "mimic", made)
    write_tree(root / "jpg", made)
    shutil.move(root / "jpg" / "mimic-cxr-reports", root / "texts")
    export(root, "main", root / "my-model")
    return root


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    return python_java(tmp_path_factory.mktemp("java"))


def test_the_pages_hold_commands():
    assert len(OURS) > 20 and set(ELSEWHERE) & set(OURS)


@pytest.mark.parametrize("command", [command for command in OURS if command not in ELSEWHERE])
def test_a_command_of_ours_does_what_its_page_says(command, project, java, monkeypatch, capsys):
    words = [PLACES.get(word, word) for word in shlex.split(command)]
    if words[1:3] == ["data", "import"]:
        shutil.rmtree(project / "data" / "raw", ignore_errors=True)
    while "--word" in words:  # weights of chance write no such words
        place = words.index("--word")
        del words[place : place + 2]
    if words == ["rcan", "export", "my-model"]:
        shutil.rmtree(project / "my-model")
    monkeypatch.chdir(project)
    monkeypatch.setenv("TQDM_DISABLE", "")
    monkeypatch.setattr("rcan.evaluation.meteor._find_java", lambda _: str(java))
    monkeypatch.delenv("RCAN_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code in (0, None), f"{ended.value.code}\n{printed.out}{printed.err}"


@pytest.mark.parametrize("file", sorted(set(ELSEWHERE.values())))
def test_what_is_run_elsewhere_has_a_test_there(file):
    assert (TOP / "tests" / file).is_file()


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("rcan ")])
def test_stages_targets_and_settings_that_a_command_names_are_there(command, tmp_path):
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[0] == "timeout":
        words = words[words.index("make") :]
    if words[0] == "make":
        makefile = (TOP / "Makefile").read_text()
        for target in words[1:]:
            assert "=" in target or re.search(rf"^{re.escape(target)}( [\w ]+)?:", makefile, re.M)
    elif words[:3] == ["python", "-m", "pytest"]:
        files = [word for word in words if word.startswith("tests/")]
        assert files and all((TOP / file).is_file() for file in files)
    elif words[0] == "python":
        assert words[1] == "-c" or (TOP / f"{words[2].replace('.', '/')}.py").is_file()
    elif words[0] == "dvc":
        changes = [words[i + 1] for i, word in enumerate(words) if word == "-S"]
        own = [change for change in changes if "," not in change and ":" not in change]
        load_settings(overridden(tmp_path, *own))
        for word in words[2:] if words[1] == "repro" else []:
            file, _, stage = word.partition(":")
            if file.endswith(".yaml"):
                stages = yaml.safe_load((TOP / file).read_text())["stages"]
                assert not stage or stage.split("@")[0] in stages, command
    else:
        assert words[0] in OF_THE_SHELL, command
