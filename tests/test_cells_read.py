"""What the runs of all cells left is read whole: pointers are followed, and nothing is mixed."""

import json

import pytest
from cells_on_disk import NUM_STUDIES, project

from rcan.ablation.cells import CONTROLS
from rcan.ablation.plan import NOT_RUN
from rcan.errors import UserError
from rcan.evaluation.scores import METRICS
from rcan.files import write_json


@pytest.fixture(scope="module")
def every_cell(tmp_path_factory):
    return project(tmp_path_factory.mktemp("cells") / "all")


def change(path, *keys, to):
    """Put `to` in the place that the keys name in a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    write_json(path, content)


def test_a_pointer_has_the_scores_of_the_run_that_it_points_to(every_cell):
    found = every_cell.read()
    assert found.model("rcan").runs[0].place == "main"
    assert found.model("ce_only").runs[0].place == "rve_cgm-1"
    assert found.scores["ce_only", "strict"] == found.scores["rve_cgm", "strict"]
    assert found.scores["ce_only", "strict"] != found.scores["rcan", "strict"]


def test_every_planned_run_is_there_once_and_pointers_are_trained_once(every_cell):
    found = every_cell.read()
    runs = [run for m in found.models.values() for run in m.runs if run.cell not in CONTROLS]
    assert {run.name for run in runs} == {p.stem for p in (every_cell.top / "plan").glob("*.json")}
    assert len(found.results) == len(list((every_cell.top / "runs").iterdir())) < len(runs)


def test_the_scores_of_one_seed_are_those_of_its_scores_json(every_cell):
    told = json.loads((every_cell.evaluation("wcl-1") / "scores.json").read_text())
    for protocol in ("strict", "paper"):
        ours = every_cell.read().scores["wcl", protocol]
        for metric in METRICS:
            assert ours[metric] == pytest.approx(told["protocols"][protocol]["model"][metric])


def test_several_seeds_are_a_mean_with_a_spread(tmp_path):
    made = project(tmp_path / "p", seeds=(1, 2, 3), only={"main", "wcl-1", "wcl-2", "wcl-3"})
    found = made.read()
    each = [
        json.loads((made.evaluation(f"wcl-{seed}") / "scores.json").read_text())["protocols"][
            "strict"
        ]["model"]["BLEU-4"]["score"]
        for seed in (1, 2, 3)
    ]
    value = found.scores["wcl", "strict"]["BLEU-4"]
    mean = sum(each) / 3
    assert value["score"] == pytest.approx(mean)
    assert value["sd"] == pytest.approx((sum((x - mean) ** 2 for x in each) / 2) ** 0.5)
    assert "sd" not in found.scores["rcan", "strict"]["BLEU-4"]


def test_any_subset_may_be_run_and_none_too(tmp_path):
    some = project(tmp_path / "some", only={"main", "rve-1"}).read()
    assert {result.place for result in some.results} == {"main", "rve-1"}
    assert some.model("rve").results and some.model("rcan").results
    assert some.model("rve_cgm").runs and not some.model("rve_cgm").results
    none = project(tmp_path / "none", only=set()).read()
    assert none.results == [] and none.floors("strict") == {} and none.scores == {}


def test_a_run_without_its_evaluation_is_not_run(tmp_path):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    (made.evaluation("rve-1") / "scores.json").unlink()
    (made.evaluation("rve-1") / "counts.npz").unlink()
    made.evaluation("rve-1").rmdir()
    assert made.read().model("rve").results == []


def test_a_cell_that_the_data_do_not_allow_is_a_row_with_its_reason(tmp_path):
    made = project(tmp_path / "p", only={"main", "coatt-1"})
    change(made.top / "plan" / "coatt-1.json", NOT_RUN, to="needs labels")
    model = made.read().model("coatt")
    assert model.results == [] and model.not_run == "not run: needs labels"
    assert NOT_RUN not in model.runs[0].settings
    assert made.read().model("rcan").results


def test_results_of_other_settings_than_planned_are_not_run_and_the_setting_is_named(tmp_path):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    change(made.top / "runs" / "rve-1" / "config.json", "train", "epochs", to=99)
    [run] = made.read().model("rve").runs
    assert run.result is None
    assert "train.epochs" in run.why_missing and "rve-1" in run.why_missing


def test_a_main_run_of_other_settings_than_those_at_hand_is_not_run(tmp_path):
    made = project(tmp_path / "p", only={"main"})
    change(made.top / "runs" / "main" / "config.json", "wcl", "tau", to=0.5)
    [run] = made.read().model("rcan").runs
    assert run.result is None and "wcl.tau" in run.why_missing


@pytest.mark.parametrize(
    ("keys", "to", "named"),
    [
        (["data"], "iu_xray", "data set"),
        (["data_digest"], "e" * 32, "digest of the data"),
        (["split"], "val", "split"),
        (["signature"], "another scorer", "way of scoring"),
        (["references", "paper"], "others", "set of paper references"),
        (["references", "strict"], "others", "set of strict references"),
    ],
)
def test_results_on_another_ground_are_refused(tmp_path, keys, to, named):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    change(made.evaluation("rve-1") / "scores.json", *keys, to=to)
    with pytest.raises(UserError, match=f"one {named} in a table.*rve-1"):
        made.read()


def test_results_of_another_scale_are_refused(tmp_path):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    for place in (made.top / "runs" / "rve-1" / "config.json", made.top / "plan" / "rve-1.json"):
        change(place, "scale", to="small")
    with pytest.raises(UserError, match="one scale in a table"):
        made.read()


def test_an_evaluation_of_another_training_is_refused(tmp_path):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    change(made.evaluation("rve-1") / "scores.json", "run", to="f" * 32)
    with pytest.raises(UserError, match=r"one run in a table; rve-1, scores\.json"):
        made.read()


@pytest.mark.parametrize(
    ("keys", "to", "said"),
    [
        (["protocols", "paper", "model", "BLEU-4", "score"], 0.5, "the counts beside it give"),
        (["protocols", "paper", "model", "BLEU-4", "score"], "x", "expected a number"),
        (["controls"], {}, "expected 'image_swap'"),
        (["groups", "strict", "in_train"], {}, "expected 'num_studies'"),
        (["findings", "model", "macro", "f1", "score"], 2, "expected 0 to 1 or null"),
        (["findings", "model"], {"macro": {}, "micro": {}}, "expected 'per_finding'"),
        (["num_studies"], NUM_STUDIES - 1, "counts.npz"),
    ],
)
def test_damaged_scores_are_one_line_that_names_the_file(tmp_path, keys, to, said):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    change(made.evaluation("rve-1") / "scores.json", *keys, to=to)
    with pytest.raises(UserError, match=said) as error:
        made.read()
    assert "rve-1" in str(error.value) and "run the evaluation again" in str(error.value)


def test_scores_cut_short_are_one_line(tmp_path):
    made = project(tmp_path / "p", only={"main"})
    path = made.evaluation("main") / "scores.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(UserError, match=r"main/scores\.json: expected scores in JSON"):
        made.read()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rve-1.json", {"same_as": "nobody-1"}, "found nobody-1"),
        ("rve-1.json", {"same_as": "rcan-1"}, "found rcan-1"),  # itself a pointer: no chains
        ("rve-1.json", {"same_as": 3}, "expected a text"),
        ("strange name.json", {}, "expected a name like rve_cgm-1.json"),
    ],
)
def test_a_damaged_plan_is_one_line_that_names_its_file(tmp_path, name, content, said):
    made = project(tmp_path / "p", only={"main"})
    write_json(made.top / "plan" / name, content)
    with pytest.raises(UserError, match=said) as error:
        made.read()
    assert name in str(error.value) and "ablations/dvc.yaml:plan" in str(error.value)


def test_without_a_plan_the_remedy_is_told(tmp_path):
    made = project(tmp_path / "p", only={"main"})
    (made.top / "plan").rename(made.top / "elsewhere")
    with pytest.raises(UserError, match="plan: expected the plan of each cell, found none"):
        made.read()


def test_differences_are_from_the_full_model_and_corrected_together(tmp_path):
    made = project(tmp_path / "p", only={"main", "wcl-1", "rve-1"})
    found = made.read()
    both, one = found.compared(["wcl", "rve", "rcan"], "strict"), found.compared(["wcl"], "strict")
    assert set(both) == {"wcl", "rve"}  # the full model is not compared with itself
    for metric in METRICS:
        own = found.scores["wcl", "strict"][metric]["score"]
        full = found.scores["rcan", "strict"][metric]["score"]
        assert both["wcl"][metric]["difference"] == pytest.approx(own - full)
        assert both["wcl"][metric]["p"] >= one["wcl"][metric]["p"] - 0.05


def test_cells_that_share_no_seed_with_the_full_model_are_not_compared(tmp_path):
    made = project(tmp_path / "p", seeds=(1, 2), only={"main", "wcl-2"})
    assert made.read().compared(["wcl"], "strict") == {}
