"""Cells become settings: each with what it uses alone, and equal ones trained once."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from tiny import TINY, TOP, changed

from pipeline import evaluate, train
from rcan.ablation import jobs
from rcan.ablation.cells import load_cells
from rcan.ablation.plan import (
    PLAN,
    pass_on,
    plan,
    planned_runs,
    planned_settings,
    same_as,
    write_plan,
)
from rcan.config import resolve
from rcan.errors import UserError

CELLS = TOP / "ablations" / "cells.yaml"
BASE = {"cgm.num_slots": 32, "wcl.lambda_ce": 0.7, "train.epochs": 12}  # cells ask for as much


@pytest.fixture
def cells_of(tmp_path):
    def write(text: str):
        path = tmp_path / "cells.yaml"
        path.write_text(text)
        return load_cells(path)

    return write


def planned_with(changes: dict[str, object]) -> dict[str, dict]:
    return plan(changed(TINY | BASE | changes), load_cells(CELLS))


def test_of_the_papers_cells_equal_ones_are_trained_once():
    planned = planned_with({})
    pointers = {name: p["same_as"] for name, p in planned.items() if "same_as" in p}
    assert pointers == {
        "wcl_features_v-1": "main",
        "rcan-1": "main",
        "tau_0.1-1": "main",
        "lambda_0.7-1": "main",
        "ce_only-1": "rve_cgm-1",
        "release_lambda-1": "lambda_0.9-1",
    }


@pytest.mark.parametrize("data", ["demo", "iu_xray", "mimic_cxr"])
@pytest.mark.parametrize(
    "for_all",
    [
        {"train.devices": "auto"},
        {"train.devices": 2},
        {"reward.share": 0.2},
        {"reward.share": 0.2, "reward.kind": "sentence_bleu"},
        {"curriculum.name": "cmcl", "reward.share": 0.2},
    ],
)
def test_every_cell_can_be_planned_with_what_is_set_for_all(for_all, data):
    raw = changed({"data.name": data, **for_all})
    assert plan(raw, load_cells(CELLS)).keys() >= {"rcan-1", "ppked_style-1", "cmcl_transformer-1"}


def test_settings_of_a_family_without_its_model_are_one_line(tmp_path):
    with pytest.raises(UserError, match="expected its model, too, found no rcan/model"):
        write_plan({"lone-1": {"model": {"family": "lone"}}}, tmp_path / "plan")
    assert not (tmp_path / "plan").exists()


def test_stages_leave_out_what_the_data_do_not_allow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_plan(plan(changed(TINY | BASE), load_cells(CELLS), labelled=False), PLAN)
    settings = resolve(changed(TINY | BASE))
    for stage, place in ((train, "runs"), (evaluate, "data/evaluation")):
        monkeypatch.setattr(sys, "argv", ["stage", "coatt-1"])
        stage.main(settings)
        told = json.loads((tmp_path / place / "coatt-1" / "not_run.json").read_text())
        assert told == {"not_run": "needs labels, which this data set does not have"}
    names = [name for name, _ in jobs._to_train(settings, tmp_path)]
    assert "sat-1" in names and "coatt-1" not in names


def test_a_pointer_never_leads_to_a_pointer():
    planned = planned_with({"wcl.lambda_ce": 0.5, "cgm.top_k": 32})
    for content in planned.values():
        target = content.get("same_as", "main")
        assert target == "main" or "same_as" not in planned[target]


def test_a_cell_holds_only_the_sections_of_modules_that_are_on():
    planned = planned_with({})
    assert {"rve", "cgm", "wcl"} - planned["rve_wcl-1"].keys() == {"cgm"}
    assert {"rve", "cgm", "wcl"} - planned["transformer-1"].keys() == {"rve", "cgm", "wcl"}
    for content in planned.values():
        assert content.keys() & {"demo", "eval", "privacy"} == set()


def test_a_changed_setting_changes_exactly_the_cells_that_use_it():
    before, after = planned_with({}), planned_with({"wcl.tau": 0.07})
    changed_cells = {name for name in before if before[name] != after[name]}
    uses_wcl = {name for name, p in before.items() if "wcl" in p and not name.startswith("tau_")}
    assert changed_cells == uses_wcl | {"tau_0.07-1", "tau_0.1-1"}
    assert after["tau_0.07-1"] == {"same_as": "main"}
    assert after["tau_0.1-1"] == {**after["wcl_views_augment-1"], "wcl": after["tau_0.1-1"]["wcl"]}
    assert after["tau_0.1-1"]["wcl"]["tau"] == 0.1


def test_every_seed_is_a_run_of_its_own_and_the_first_seed_comes_first(cells_of):
    cells = cells_of("seeds: [1, 2]\ncells: {a: {}, b: {wcl.tau: 1.0}}\nreadings: {c: {}}\n")
    planned = plan(changed(TINY), cells)
    assert list(planned) == ["a-1", "b-1", "c-1", "a-2", "b-2", "c-2"]
    assert planned["a-1"] == {"same_as": "main"}
    assert planned["a-2"]["train"]["seed"] == 2
    assert planned["c-2"] == {"same_as": "a-2"}


def test_a_planned_cell_is_trained_by_its_own_settings(tmp_path):
    raw = changed(TINY | BASE)
    write_plan(plan(raw, load_cells(CELLS)), tmp_path / "plan")
    settings = planned_settings("r2gencmn-1", resolve(raw), tmp_path / "plan")
    assert (settings.family.cgm.gate, settings.family.cgm.top_k) == ("response", 32)
    assert settings.name == "CGM top_k=32 gate=response seed=1"
    expected = resolve(changed(TINY | BASE | {
        "model.use_rve": False, "model.use_wcl": False, "cgm.gate": "response", "cgm.top_k": 32,
    }))  # fmt: skip
    assert settings == expected


@pytest.mark.parametrize(
    ("data", "scale", "expected"),
    [("demo", "full", [96, 12, 8]), ("iu_xray", "small", [192, 24, 16]),
     ("iu_xray", "full", [512, 9, 10])],
)  # fmt: skip
def test_a_cell_may_change_a_setting_of_full_scale_alone(cells_of, data, scale, expected):
    sizes = "model.d_model: {demo: 96, paper: 512}"
    recipe = "train.epochs: {paper: 9}, train.batch_size: {paper: 10}"
    cells = cells_of(
        f"seeds: [2]\ncells: {{wide: {{{sizes}, {recipe}}}}}\nreadings: {{same: {{}}}}"
    )
    planned = plan(changed({"data.name": data, "scale": scale}), cells)["wide-2"]
    sizes = [("model", "d_model"), ("train", "epochs"), ("train", "batch_size")]
    assert [planned[section][key] for section, key in sizes] == expected


def test_the_plan_replaces_an_older_one_whole(tmp_path, cells_of):
    raw, out = changed(TINY), tmp_path / "plan"
    write_plan(plan(raw, cells_of("seeds: [1]\ncells: {a: {}}\nreadings: {b: {}}\n")), out)
    write_plan(plan(raw, cells_of("seeds: [3]\ncells: {c: {}}\nreadings: {d: {}}\n")), out)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    assert files == {"c-3.json", "d-3.json", "order.txt", "scoring/c-3.json", "scoring/d-3.json"}
    assert planned_runs(out) == ["c-3", "d-3"]
    assert (same_as("c-3", out), same_as("d-3", out)) == ("c-3", "c-3")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_pointer_passes_on_what_it_equals_in_the_place_of_a_run(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "best.json").write_text("of a time when it was no pointer")
    pass_on(out, "main")
    assert {path.name: json.loads(path.read_text()) for path in out.iterdir()} == {
        "same_as.json": {"same_as": "main"}
    }


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("{wcl.tua: 0.1}", "cell a: unknown key wcl.tua"),
        ("{tau: 0.1}", "cell a: unknown key tau"),
        ("{scale.x: 1}", "cell a: unknown key scale.x"),
        ("{wcl.tau: -1}", "cell a: wcl.tau is -1"),
        ("{wcl.tau: abc}", "cell a: wcl.tau is 'abc'"),
        ("{model.num_heads: 5}", r"cell a: model.d_model \(16\) must be a multiple"),
        ("{visual.blind: true}", "cell a: visual.blind leaves WCL nothing"),
        ("{train.seed: {demo: -1}}", "cell a|train.seed"),
    ],
)
def test_a_change_that_does_not_fit_names_its_cell(cells_of, cell, message):
    cells = cells_of(f"seeds: [1]\ncells: {{a: {cell}}}\nreadings: {{b: {{}}}}\n")
    if "train.seed" in cell:  # the list of seeds decides
        assert plan(changed(TINY), cells)["a-1"] == {"same_as": "main"}
        return
    with pytest.raises(UserError, match=message):
        plan(changed(TINY), cells)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [1]\ncells: {a: {}}\n", "expected seeds, cells and readings"),
        ("[]", "expected seeds, cells and readings"),
        ("seeds: []\ncells: {a: {}}\nreadings: {b: {}}\n", "different whole numbers"),
        ("seeds: [1, 1]\ncells: {a: {}}\nreadings: {b: {}}\n", "different whole numbers"),
        ("seeds: [true]\ncells: {a: {}}\nreadings: {b: {}}\n", "different whole numbers"),
        ("seeds: [-1]\ncells: {a: {}}\nreadings: {b: {}}\n", "different whole numbers"),
        ("seeds: [1]\ncells: {A-1: {}}\nreadings: {b: {}}\n", "a cell's name begins"),
        ("seeds: [1]\ncells: {main: {}}\nreadings: {b: {}}\n", "a cell's name begins"),
        ("seeds: [1]\ncells: {../a: {}}\nreadings: {b: {}}\n", "a cell's name begins"),
        ("seeds: [1]\ncells: {..: {}}\nreadings: {b: {}}\n", "a cell's name begins"),
        ("seeds: [1]\ncells: {a: 3}\nreadings: {b: {}}\n", "cell a must map keys"),
        ("seeds: [1]\ncells: {a: {}}\nreadings: {a: {}}\n", "a is in both lists"),
        ("seeds: [1]\ncells: {a: {}, a: {}}\nreadings: {b: {}}\n", "not valid YAML"),
        ("seeds: [1\n", "not valid YAML"),
    ],
)
def test_a_list_of_cells_that_is_none_is_one_clear_error(cells_of, text, message):
    with pytest.raises(UserError, match=message) as error:
        cells_of(text)
    assert "cells.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_plan_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"order\.txt.*dvc repro ablations/dvc.yaml:plan"):
        same_as("rve-1", tmp_path)
    write_plan(plan(changed(TINY | BASE), load_cells(CELLS)), tmp_path / "plan")
    with pytest.raises(UserError, match=r"rve_cgn-1 is no planned cell.*mean rve_cgm-1\?"):
        same_as("rve_cgn-1", tmp_path / "plan")
    (tmp_path / "plan" / "rve-1.json").unlink()
    with pytest.raises(UserError, match=r"rve-1\.json.*dvc repro ablations/dvc.yaml:plan"):
        same_as("rve-1", tmp_path / "plan")


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_pointer_costs_no_heavy_import(stage, tmp_path):
    raw = changed(TINY | BASE)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    write_plan(plan(raw, load_cells(CELLS)), tmp_path / "ablations" / "plan")
    code = (
        f"import runpy, sys; sys.argv = ['{stage}', 'rcan-1']\n"
        f"runpy.run_module('pipeline.{stage}', run_name='__main__')\n"
        "print('loaded:', *{'torch', 'mlflow', 'numpy', 'pandas', 'matplotlib'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "loaded:"
    place = {"train": "runs", "evaluate": "data/evaluation"}[stage]
    told = json.loads((tmp_path / place / "rcan-1" / "same_as.json").read_text())
    assert told == {"same_as": "main"}
