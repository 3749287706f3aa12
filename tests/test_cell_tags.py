"""Runs of the cells in MLflow: under which names, with which of the paper's numbers."""

import json

import pytest
import yaml
from fabricated import write_run
from tiny import TOP, changed

from rcan.ablation.cells import load_cells
from rcan.config import resolve
from rcan.dotted import flatten
from rcan.errors import UserError
from rcan.files import digest_of, write_json
from rcan.reporting.published import METRICS, published_row
from rcan.tracking import open_tracker, run_folders, sync
from rcan.tracking.metrics import paper_tags

REGISTER = load_cells(TOP / "ablations/cells.yaml")
DATA = {"data.name": "iu_xray"}
NO_WCL = {"model.use_wcl": False}
RVE = {**NO_WCL, "model.use_cgm": False}
CELLS = {
    "seeds": [1, 2],
    "cells": {
        "rve": RVE, "rve_cgm": NO_WCL, "rcan": {}, "ce_only": NO_WCL,
        "tau_0.1": {"wcl.tau": 0.1}, "tau_0.2": {"wcl.tau": 0.2}, "nic": {"model.family": "nic"},
    },
    "readings": {"wcl_denominator_all": {"wcl.denominator": "all"}},
    **{key: yaml.safe_load((TOP / "ablations/cells.yaml").read_text(encoding="utf-8"))[key]
       for key in ("tables", "shown")},
}  # fmt: skip


def set_params(root, **changes):
    params = yaml.safe_dump(changed(DATA | changes))
    (root / "params.yaml").write_text(params, encoding="utf-8")


def add_run(root, name: str, **changes):
    """A trained run; its key follows from its settings and, unlike a real one's, nothing else."""
    code = changes.pop("code", 1)
    settings = resolve(changed(DATA | changes)).of_the_model()
    key = digest_of([settings, code])
    write_run(root / "runs" / name, data="iu_xray", key=key)
    write_json(root / "runs" / name / "config.json", settings)
    return key


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database for all of these projects: creating one takes seconds."""
    folder = tmp_path_factory.mktemp("repository")
    assert open_tracker(root=folder, data_name="iu_xray").guard.finish(60)
    return folder


@pytest.fixture
def project(tmp_path, database):
    """A project with a main run and some cells of it, its runs alone in the database."""
    client = tracker_of(database).client
    for run in client.search_runs(["1"]):
        client.delete_run(run.info.run_id)
    (tmp_path / "ablations").mkdir()
    (tmp_path / "ablations/cells.yaml").write_text(json.dumps(CELLS))
    set_params(tmp_path)
    add_run(tmp_path, "main")
    add_run(tmp_path, "rve-1", **RVE)
    add_run(tmp_path, "rve_cgm-1", **NO_WCL)
    add_run(tmp_path, "tau_0.2-1", **{"wcl.tau": 0.2})
    add_run(tmp_path, "rcan-2", **{"train.seed": 2})
    return tmp_path


def tracker_of(root):
    tracker = open_tracker(root=root, data_name="iu_xray")
    assert tracker.guard.finish(60)
    return tracker


def synced(project, database) -> dict[str, dict[str, str]]:
    """The tags of every run after a sync, by key."""
    folders = run_folders(project)
    assert sync(root=database, folders=folders) == len(folders)
    runs = tracker_of(database).client.search_runs(["1"])
    return {run.data.tags["rcan.key"]: run.data.tags for run in runs}


def groups(tags: dict[str, str]) -> set[str]:
    return {tag.removeprefix("paper.") for tag, value in tags.items() if value == "yes"}


def key_of(**changes) -> str:
    code = changes.pop("code", 1)
    return digest_of([resolve(changed(DATA | changes)).of_the_model(), code])


def test_a_run_goes_by_the_names_of_all_the_cells_that_it_is(project, database):
    tags = synced(project, database)
    main, rve = tags[key_of()], tags[key_of(**RVE)]
    assert (main["cell"], main["seed"]) == ("rcan tau_0.1", "1")
    assert groups(main) == {"table3", "table4", "table5", "fig5", "readings"}
    assert (rve["cell"], groups(rve)) == ("rve", {"table4"})
    both = tags[key_of(**NO_WCL)]
    assert (both["cell"], groups(both)) == ("rve_cgm ce_only", {"table4", "fig5"})
    hot = tags[key_of(**{"wcl.tau": 0.2})]
    assert (hot["cell"], groups(hot)) == ("tau_0.2", {"table5"})
    second = tags[key_of(**{"train.seed": 2})]
    assert (second["cell"], second["seed"]) == ("rcan tau_0.1", "2")
    paper = [run["paper.BLEU-4"] for run in (main, rve, both, hot, second)]
    assert paper == ["0.186", "0.162", "0.176", "0.165", "0.186"]
    assert synced(project, database) == tags


def test_a_system_has_the_row_that_the_register_has_for_its_cell(project, database):
    key = add_run(project, "nic-1", **{"model.family": "nic"})
    tags = synced(project, database)[key]
    assert (tags["cell"], tags["paper.BLEU-4"]) == ("nic", "0.066")
    assert "paper.METEOR" not in tags  # the paper prints none


def test_a_reading_is_named_as_one_and_the_full_model_keeps_its_name(project, database):
    key = add_run(project, "wcl_denominator_all-1", **{"wcl.denominator": "all"})
    assert synced(project, database)[key]["paper.BLEU-4"] == "0.186"  # of the model that it reads
    names = {
        run.data.tags["rcan.key"]: run.info.run_name
        for run in tracker_of(database).client.search_runs(["1"])
    }
    assert names[key].startswith("wcl_denominator_all: RVE")
    assert names[key_of()].startswith("RVE")


def test_a_run_of_other_settings_is_not_taken_for_the_cell(project, database):
    set_params(project, **{"wcl.tau": 0.2})
    tags = synced(project, database)
    assert "cell" not in tags[key_of()]  # it was trained before the change
    assert tags[key_of(**RVE)]["cell"] == "rve"
    assert "cell" not in tags[key_of(**{"wcl.tau": 0.2})]  # now this one is to be runs/main
    add_run(project, "main", **{"wcl.tau": 0.2})
    tags = synced(project, database)
    hot = tags[key_of(**{"wcl.tau": 0.2})]
    assert (hot["cell"], hot["paper.BLEU-4"]) == ("rcan tau_0.2", "0.165")
    set_params(project, **{"wcl.lambda_ce": 0.3})
    key = add_run(project, "main", **{"wcl.lambda_ce": 0.3})
    other = synced(project, database)[key]
    assert other["cell"] == "rcan tau_0.1"
    assert "paper.BLEU-4" not in other  # the paper's are of another lambda


def test_a_cell_that_is_trained_again_is_one_run_and_the_old_one_is_outdated(project, database):
    synced(project, database)
    add_run(project, "rve-1", **RVE, code=2)
    tags = synced(project, database)
    old, new = tags[key_of(**RVE)], tags[key_of(**RVE, code=2)]
    assert old["outdated"] == "yes" and "cell" not in old and not groups(old) - {"outdated"}
    assert new["cell"] == "rve" and "outdated" not in new
    add_run(project, "rve-1", **RVE)
    tags = synced(project, database)
    assert tags[key_of(**RVE)]["cell"] == "rve" and "outdated" not in tags[key_of(**RVE)]
    assert "cell" not in tags[key_of(**RVE, code=2)]


def test_a_cell_that_is_listed_no_more_loses_its_tags(project, database):
    synced(project, database)
    cells = {name: changes for name, changes in CELLS["cells"].items() if name != "tau_0.1"}
    (project / "ablations/cells.yaml").write_text(json.dumps({**CELLS, "cells": cells}))
    main = synced(project, database)[key_of()]
    assert (main["cell"], groups(main)) == ("rcan", {"table3", "table4", "fig5", "readings"})


def test_without_a_list_of_cells_runs_have_no_names_but_their_own(project, database):
    (project / "ablations/cells.yaml").unlink()
    assert all("cell" not in tags for tags in synced(project, database).values())


def test_a_damaged_list_of_cells_is_named(project):
    (project / "ablations/cells.yaml").write_text("cells: {")
    with pytest.raises(UserError, match=r"cells\.yaml"):
        run_folders(project)


@pytest.mark.parametrize(
    ("changes", "bleu_4"),
    [
        ({}, "0.186"), ({"wcl.tau": 0.05}, "0.172"), ({"wcl.denominator": "all"}, "0.186"),
        (RVE, "0.162"), ({"cgm.gate": "response", **NO_WCL, "model.use_rve": False}, "0.170"),
        ({"wcl.lambda_ce": 0.3}, None), ({"wcl.tau": 0.3}, None), ({"data.name": "demo"}, None),
        ({"cgm.gate": "response"}, None), ({**RVE, "model.use_rve": False}, None),
        ({"model.use_rve": False, "wcl.tau": 0.2}, None),
    ],
)  # fmt: skip
def test_the_paper_is_quoted_for_the_settings_it_prints(changes, bleu_4):
    config = flatten(resolve(changed(DATA | changes)).used())
    assert paper_tags(config).get("paper.BLEU-4") == bleu_4


@pytest.mark.parametrize("cell", [*REGISTER.of_table("table4", "table5"), "r2gencmn"])
def test_settings_tell_the_row_that_the_register_has_for_their_cell(cell):
    (changes,) = (one.changes for one in REGISTER.cells if one.name == cell)
    config = flatten(resolve(changed(DATA | changes)).used())
    (table, wanted), *_ = REGISTER.show(cell).paper.items()
    row = published_row("iu_xray", table, wanted)
    assert paper_tags(config) == {f"paper.{metric}": f"{row[metric]:.3f}" for metric in METRICS}


def test_another_family_of_models_repeats_no_row_of_the_paper():
    config = flatten(resolve(changed(DATA)).used())
    of_rcan = ("model.use_", "rve.", "cgm.", "wcl.")
    config = {key: value for key, value in config.items() if not key.startswith(of_rcan)}
    assert paper_tags(config | {"model.family": "another"}) == {}
