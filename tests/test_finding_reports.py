"""Controls that are no cell stand in the tables beside the cells, or say why they do not."""

import json
import shutil

import pytest
from cells_on_disk import project, write_evaluation
from imports import TOP

from pipeline.controls import OF_VALIDATION
from rcan.ablation.cells import CELLS, CONTROLS, NO_LABELS, run_name
from rcan.files import write_json
from rcan.reporting.cells.finding_reports import finding_reports_table
from rcan.reporting.cells.listings import listings
from rcan.reporting.cells.scores import scores_section
from rcan.tracking import run_folders
from rcan.tracking.folders import read_config

NAMES = [run_name(name, seed) for name, seeds in CONTROLS.items() for seed in seeds]


@pytest.fixture
def made(tmp_path):
    return project(tmp_path / "p", only={"main", "blind-1"})


def control(made, number: int, name: str) -> None:
    """What stage controls leaves of one."""
    digest = json.loads((made.top / "processed/summary.json").read_text())["digest"]
    key = f"{number:032x}"
    write_evaluation(made.evaluation(name), number, data="demo", digest=digest, key=key)
    path = made.evaluation(name) / "scores.json"
    scores = json.loads(path.read_text())
    seed = int(name[-1])
    write_json(path, {**scores, "seed": seed, "validation": {k: scores[k] for k in OF_VALIDATION}})
    config = {"scale": "full", "data": {"name": "demo"}, "train": {"seed": seed}}
    config["model"] = {"family": name[:-2]}
    write_json(made.top / "runs" / name / "config.json", config)
    best = {"name": name[:-2], "epoch": 4, "key": key, "data_digest": digest}
    write_json(made.top / "runs" / name / "best.json", best)


def table_3(ablations):
    (listing,) = (each for each in listings(ablations) if each.name == "table3")
    return scores_section(ablations, listing)


def test_controls_have_rows_like_blind_and_tests_in_pairs(made):
    for number, name in enumerate(NAMES, start=100):
        control(made, number, name)
    found = made.read()
    text = table_3(found).markdown()
    for name, seeds in CONTROLS.items():
        assert [run.seed for run in found.model(name).done] == list(seeds)
        # Scores under two protocols, controls, differences from the one base that is run, ranks.
        assert text.count(f"| {found.title(name)} ") == 2 + 1 + 2 + 1
        assert "p" in found.compared([name], "strict")[name]["BLEU-4"]
    assert "dvc repro ablations/dvc.yaml:controls" in text
    assert "evaluate@finding_template" not in text


def test_validation_and_test_stand_side_by_side_with_intervals(made):
    assert finding_reports_table(made.read()) is None
    for number, name in enumerate(NAMES[:3], start=100):
        control(made, number, name)
    section = finding_reports_table(made.read())
    paper = section.tables[0]
    assert [row[1] for row in paper.rows] == ["validation"] * 4 + ["test"] * 4
    told = json.loads((made.evaluation(NAMES[1]) / "scores.json").read_text())
    value = told["protocols"]["paper"]["model"]["BLEU-4"]
    shown = f"{value['score']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    assert str(paper.rows[-2][2]) == shown
    assert section.csv().count("finding_template") == 3 * 2 * 2


def test_without_labels_the_rows_say_so(made):
    for name in NAMES:
        for folder in (made.evaluation(name), made.top / "runs" / name):
            write_json(folder / NO_LABELS, {"data": "demo"})
    lines = table_3(made.read()).markdown().splitlines()
    for name in CONTROLS:
        of_it = {line for line in lines if line.startswith(f"| {made.cells.show(name).title} ")}
        assert all(line.count("no labels") == 7 for line in of_it) and of_it
    assert finding_reports_table(made.read()) is None


def test_mlflow_knows_a_control_by_its_name(made):
    control(made, 100, NAMES[0])
    (made.top / "data").mkdir()
    (made.top / "ablations").mkdir()
    shutil.copy(TOP / CELLS, made.top / CELLS)
    made.evaluation(NAMES[0]).parent.rename(made.top / "data/evaluation")
    (made.top / "data/evaluation" / NAMES[0] / "predictions.csv").touch()
    found = {place.run.name: place for place in run_folders(made.top)}
    assert found[NAMES[0]].tags == {"cell": "finding_template", "paper.table3": "yes"}
    assert read_config(found[NAMES[0]].run)["model.family"] == "finding_template"
