"""Restricted data: no word of a report, no image and no id anywhere but under data/.

Reports, images and ids of a made-up IU X-ray folder hold marks that occur nowhere else; after a
whole run every file and every row of the tracker's database is searched for them.
"""

import csv
import json
import random
import shutil
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from repository import STAGES as DVC_STAGES
from repository import Repository
from stages import CHANGES, copy, make
from tiny import TOP
from zygote import STAGES, Zygote

from rcan.data.sets.iu_xray_layouts import listed_studies

STUDIES = {"train": 24, "val": 8, "test": 8}
WORDS = ("zorblaxia", "quixotumor", "xenoward", "plovertine")  # in reports: in the vocabulary
PIXELS = bytes(random.Random(0).randrange(256) for _ in range(16))  # in the first row of each image
SETTINGS = {
    "data.name": "iu_xray", "data.image_size": 32, "data.num_views": 2, "privacy.restricted": True,
    "visual.backbone": "small", "visual.weights": "none", "train.precision": "32-true",
}  # fmt: skip
SHORT_LIST = f"""
from rcan.data.sets import iu_xray as reader
listed = reader.listed_studies()
reader.listed_studies = lambda: [
    study for split, number in {STUDIES}.items()
    for study in [one for one in listed if one.split == split][:number]
]
"""


def studies() -> list:
    listed = listed_studies()
    return [
        study
        for split, number in STUDIES.items()
        for study in [one for one in listed if one.split == split][:number]
    ]


def write_raw(root: Path) -> None:
    """R2Gen's layout with marks in every part of it."""
    annotation: dict[str, list[dict]] = {split: [] for split in STUDIES}
    noise = np.random.default_rng(0)
    for number, study in enumerate(studies()):
        names = [f"{study.id}/{view}.png" for view in (0, 1)]
        for name in names:
            pixels = noise.integers(0, 256, (32, 32), dtype=np.uint8)
            pixels[0, :16] = list(PIXELS)
            (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / "images" / name)
        words = f"No {WORDS[2]} {WORDS[3]} of mark{number}."
        report = f"The {WORDS[number % 2]} lungs are clear. {words}"
        annotation[study.split].append({"id": study.id, "report": report, "image_path": names})
    (root / "images" / annotation["train"][5]["image_path"][1]).unlink()  # a problem to tell of
    annotation["val"].append(annotation["val"][0])
    (root / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")


def marks() -> list[bytes]:
    ids = [study.id for study in studies()]
    patients = [f"{study.number}_IM" for study in studies()]
    return [text.lower().encode() for text in (*WORDS, *ids, *patients)] + [PIXELS]


def contents(path: Path) -> bytes:
    """What a file says, in lower case besides, however it is stored."""
    raw = path.read_bytes()
    if path.suffix == ".png":
        with Image.open(path) as image:
            raw += np.asarray(image.convert("L")).tobytes()
    if path.suffix == ".db":
        with sqlite3.connect(path) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master")]
            for table in tables:
                if not table.startswith(("sqlite_", "idx", "index")):
                    try:
                        rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
                        raw += repr(rows).encode()
                    except sqlite3.OperationalError:  # an index
                        continue
        database.close()
    return raw + raw.lower()


def found_outside(folder: Path, sought: list[bytes]) -> dict[str, bytes]:
    """Files that hold a mark: name -> the first of them; `folder`/data is not looked into."""
    found = {}
    for path in [*folder.rglob("*"), *folder.parent.glob(f"{folder.name}.out*")]:
        inside = path.is_relative_to(folder / "data") or ".git" in path.parts
        if path.is_file() and not inside:
            text = contents(path)
            held = [mark for mark in sought if mark in text]
            if held:
                found[path.relative_to(folder.parent).as_posix()] = held[0]
    return found


@pytest.fixture(scope="module")
def restricted(zygote, tmp_path_factory) -> Path:
    """The folder of a whole run on restricted data, beside which `raw` lies."""
    place = tmp_path_factory.mktemp("restricted")
    write_raw(place / "raw")
    folder = make(place / "project", SETTINGS)
    for stage in STAGES:
        run(stage, zygote, folder)
    return folder


def run(stage: str, zygote: Zygote, folder: Path) -> None:
    ended = zygote.run(stage, folder, keep=f"{folder}.out-{stage}", **how(folder))
    assert ended.code == 0, ended.printed


def how(folder: Path, prelude: str = "") -> dict:
    environment = {"RCAN_DATA": str(folder.parent / "raw")}
    return {"environment": environment, "prelude": SHORT_LIST + prelude}


def test_a_whole_run_on_restricted_data_leaves_no_mark_outside_data(restricted, figure):
    assert found_outside(restricted, marks()) == {}
    searched = [p for p in restricted.rglob("*") if p.is_file() and "data" not in p.parts]
    assert {"results.md", "mlflow.db", "config.json", "examples.md"} <= {p.name for p in searched}
    problems = json.loads((restricted / "data/processed/summary.json").read_text())["problems"]
    assert {"image_missing", "duplicate_id"} <= problems.keys()  # told by number, not by id
    figure("privacy", "files searched for marks", len(searched))


def test_the_search_finds_the_marks_of_the_same_run_unrestricted(zygote, restricted, tmp_path):
    place = copy(restricted.parent, tmp_path / "place")
    folder = make(place / "project", SETTINGS | {"privacy.restricted": False})
    for stage in ("preprocess", "evaluate", "report"):
        run(stage, zygote, folder)
    found = set(found_outside(folder, marks()))
    assert any("examples.md" in name for name in found)
    assert any("out-preprocess" in name for name in found)
    assert any("_view" in name for name in found_outside(folder, [PIXELS]))
    assert found_outside(folder, [studies()[-1].id.lower().encode()])
    # The copied database still names the first folder as the place of its artifacts.
    assert any("predictions.csv" in n for n in found_outside(restricted, marks()))
    shutil.rmtree(restricted / "mlartifacts")


def spoil_json(change):
    def spoil(folder: Path, raw: Path) -> None:
        path = raw / "annotation.json"
        annotation = json.loads(path.read_text(encoding="utf-8"))
        change(annotation["train"])
        path.write_text(json.dumps(annotation), encoding="utf-8")

    return spoil


def without_images(folder: Path, raw: Path) -> None:
    for path in sorted(raw.glob("images/*/1.png")):
        path.unlink()


def spoil_studies(split: str):
    def spoil(folder: Path, raw: Path) -> None:
        path = folder / "data" / "processed" / f"{split}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines()
        lines[2] = lines[2].replace('"views"', '"zorblaxia"')
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return spoil


def spoil_predictions(folder: Path, raw: Path) -> None:
    path = folder / "data/evaluation/main/predictions.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"id": f"zorblaxia {row['id']}"} for row in rows)


FAULT = """
import {module} as module
def fault(*_, **__):
    raise KeyError("the zorblaxia lungs of CXR2384_IM-0942")
module.{name} = fault
"""
# stage -> how it is spoilt, or what fails in it.
TROUBLES = [
    ("preprocess", spoil_json(lambda records: records[3].update(report=7)), ""),
    ("preprocess", spoil_json(lambda records: records[3].update(image_path="zorblaxia")), ""),
    ("preprocess", spoil_json(lambda records: records[3].update(image_path=["../zorblaxia"])), ""),
    ("preprocess", spoil_json(lambda records: records.__setitem__(3, "zorblaxia")), ""),
    ("preprocess", without_images, ""),
    ("tokenizer", spoil_studies("train"), ""),
    ("train", spoil_studies("val"), ""),
    ("evaluate", spoil_studies("test"), ""),
    ("report", spoil_predictions, ""),
    ("train", None, FAULT.format(module="rcan.training.train", name="train")),
    ("evaluate", None, FAULT.format(module="rcan.evaluation.evaluate", name="evaluate")),
    ("report", None, FAULT.format(module="pipeline.report", name="write_report")),
]


def test_errors_on_restricted_data_are_one_line_without_a_mark(
    zygote, restricted, tmp_path, amount, figure
):
    tried = random.Random(2).sample(TROUBLES, amount(4, len(TROUBLES)))
    for stage, spoil, prelude in tried:
        folder = copy(restricted.parent, tmp_path / "place") / "project"
        if spoil:
            spoil(folder, folder.parent / "raw")
        ended = zygote.run(stage, folder, **how(folder, prelude))
        told = [line for line in ended.printed.splitlines() if "error" in line.lower()]
        assert ended.code == 1 and len(told) == 1, (stage, ended.printed)
        assert "data/error.txt" in told[0] and "Traceback" not in ended.printed
        assert found_outside(folder, marks()) == {}, stage
        assert (folder / "data" / "error.txt").read_text(encoding="utf-8")
    figure("privacy", "errors searched for marks", len(tried))


def test_what_holds_reports_or_images_is_pushed_to_no_remote_and_cached_under_data():
    for stage in DVC_STAGES.values():
        for out in stage["outs"]:
            name, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            private = name.startswith("data/") or "examples" in name
            if private:
                assert options["push"] is False, name
    config = (TOP / ".dvc" / "config").read_text(encoding="utf-8")
    assert "dir = ../data/cache" in config


def test_a_push_after_a_restricted_run_sends_no_report(tmp_path, long, figure):
    (tmp_path / "project").mkdir()
    project = Repository(tmp_path / "project", CHANGES | {"privacy.restricted": "true"})
    code, _, output = project.repro()
    assert code == 0, output
    remote = tmp_path / "remote"
    for command in (("dvc", "remote", "add", "-d", "store", str(remote)), ("dvc", "push")):
        done = project.run(*command)
        assert done.returncode == 0, done.stdout
    processed = project.folder / "data" / "processed"
    texts = [path.read_text(encoding="utf-8") for path in processed.glob("*.jsonl")]
    records = [json.loads(line) for text in texts for line in text.splitlines()]
    reports = [record[key].lower().encode() for record in records for key in ("report", "text")]
    assert [p for p in remote.rglob("*") if p.is_file()], "nothing was pushed"
    assert found_outside(remote, reports) == {}
    assert found_outside(project.folder, reports) == {}
    figure("privacy", "reports sought in a DVC remote and the project", len(records))


def test_the_interface_of_mlflow_listens_on_this_machine_alone():
    with warnings.catch_warnings():  # MLflow's own
        warnings.simplefilter("ignore")
        from mlflow.cli import server
    hosts = [option.default for option in server.params if option.name == "host"]
    assert hosts == ["127.0.0.1"]
    code = [*(TOP / "rcan").rglob("*.py"), *(TOP / "pipeline").rglob("*.py"), TOP / "README.md"]
    assert not [path for path in code if "0.0.0.0" in path.read_text(encoding="utf-8")]


def test_settings_mark_mimic_cxr_as_restricted():
    raw = yaml.safe_load((TOP / "params.yaml").read_text(encoding="utf-8"))
    assert raw["privacy"]["restricted"] == {"demo": False, "iu_xray": False, "mimic_cxr": True}
