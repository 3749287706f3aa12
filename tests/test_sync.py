"""MLflow's runs, rebuilt from files."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from fabricated import KEY, scores_of, write_evaluation, write_run
from tiny import TOP

from rcan.dotted import flatten
from rcan.errors import UserError
from rcan.files import write_json, write_text
from rcan.tracking import (
    RunFolders,
    epoch_metrics,
    in_use,
    open_tracker,
    published_runs,
    published_store,
    score_metrics,
    sync,
)
from rcan.tracking.guard import Guard
from rcan.tracking.restore import _is_older


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A repository with a database in it: creating one takes seconds."""
    folder = tmp_path_factory.mktemp("repository")
    assert open_tracker(root=folder, data_name="iu_xray").guard.finish(60)
    return folder


@pytest.fixture
def place(tmp_path) -> RunFolders:
    """A trained and evaluated run, away from the repository as in an experiment."""
    place = RunFolders(
        run=tmp_path / "runs/main",
        evaluation=tmp_path / "data/evaluation/main",
        reports=tmp_path / "reports",
    )
    write_run(place.run, data="iu_xray", changes={"wcl.lambda_ce": 0.7})
    write_evaluation(place.evaluation, scores_of("iu_xray", num_studies=12))
    write_text(place.reports / "results.md", "# Results\n")
    write_text(place.reports / "examples" / "examples.md", "report text\n")
    return place


def recorded(root):
    """All runs, each with its history of training loss and its files."""
    tracker = open_tracker(root=root, data_name="iu_xray")
    assert tracker.guard.finish(60)
    client = tracker.client
    return [
        (
            run,
            [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")],
            {file.path for file in client.list_artifacts(run.info.run_id)},
            {file.path for file in client.list_artifacts(run.info.run_id, "reports")},
        )
        for run in client.search_runs([tracker.experiment_id])
    ]


def test_sync_rebuilds_a_whole_run_and_a_second_time_changes_nothing(root, place):
    assert sync(root=root, folders=[place]) == 1
    [(run, steps, files, reports)] = recorded(root)
    assert (run.info.run_name, run.info.status) == ("RVE+CGM+WCL tau=0.1", "FINISHED")
    assert run.data.params["wcl.tau"] == "0.1"
    assert run.data.tags["rcan.key"] == KEY
    assert run.data.tags["paper.BLEU-4"] == "0.186"
    assert run.data.metrics["BLEU-4"] == 0.186
    assert run.data.metrics["floor/BLEU-4"] == 0.171
    assert steps == list(range(1, 13))
    assert {"config.json", "history.csv", "scores.json", "predictions.csv"} <= files
    assert reports == {"reports/results.md"}

    assert sync(root=root, folders=[place]) == 1
    [(again, steps_again, *_)] = recorded(root)
    assert steps_again == steps
    assert again.info.end_time == run.info.end_time
    assert again.data.metrics == run.data.metrics


def test_what_a_tracker_missed_while_down_is_caught_up(root, place, monkeypatch, capfd):
    best = (place.run / "best.json").read_text().replace(KEY, "9" * 32)
    write_text(place.run / "best.json", best)
    tracker = open_tracker(root=root, data_name="iu_xray")
    with tracker.run(key="9" * 32, name="cut short", params={}, tags={}) as run:
        run.log_epoch(1, {"train/loss": 3.0})
        assert tracker.guard.finish(60)
        tracker.guard.close(OSError("database is gone"))
        run.log_epoch(2, {"train/loss": 2.0})
    assert "database is gone" in capfd.readouterr().err
    assert sync(root=root, folders=[place]) == 1
    [(run, steps, *_)] = [r for r in recorded(root) if r[0].data.tags["rcan.key"] == "9" * 32]
    assert (run.info.run_name, run.info.status) == ("cut short", "FINISHED")
    assert sorted(steps) == list(range(1, 13))


def test_a_run_that_is_not_trained_yet_is_passed_over(root, tmp_path):
    nothing = RunFolders(run=tmp_path / "runs/later")
    assert sync(root=root, folders=[nothing]) == 0


def test_sync_without_mlflow_says_so_in_one_line_and_goes_on(place, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert sync(root=tmp_path, folders=[place]) == 0
    assert capfd.readouterr().err.count("\n") == 1


def test_a_damaged_file_is_named(root, place):
    write_text(place.run / "config.json", "{")
    with pytest.raises(UserError, match=r"config\.json"):
        sync(root=root, folders=[place])


def test_report_text_goes_to_no_server(place, tmp_path, monkeypatch):
    sent = []

    class Server:
        local = False
        guard = Guard("server", "")

        def attach(self, **_):
            return self

        def __getattr__(self, name):
            return lambda *arguments: sent.append((name, *arguments))

    monkeypatch.setattr("rcan.tracking.restore.open_tracker", lambda **_: Server())
    sync(root=tmp_path, folders=[place])
    files = {path.name for name, paths, *_ in sent if name == "log_files" for path in paths}
    assert files == {"config.json", "best.json", "history.csv", "results.md"}


def test_settings_become_one_level_of_dotted_keys():
    nested = {"scale": "full", "wcl": {"tau": 0.1}, "cgm": {"top_k": None}}
    assert flatten(nested) == {"scale": "full", "wcl.tau": 0.1, "cgm.top_k": None}


def test_a_loss_that_is_off_is_not_logged():
    row = {"epoch": "3", "loss": "1.5", "loss_wcl": "", "lr": None, "val_BLEU-4": 0.2, "other": 1}
    assert epoch_metrics(row) == {"train/loss": 1.5, "val/BLEU-4": 0.2}


def test_a_run_from_before_there_were_families_is_of_rcan():
    def run(start_time, **params):
        info, data = SimpleNamespace(start_time=start_time), SimpleNamespace(params=params)
        return SimpleNamespace(info=info, data=data)

    old, nic = run(1, seed="1"), run(2, seed="1", **{"model.family": "nic"})
    new = run(2, seed="1", **{"model.family": "rcan"})
    assert _is_older(old, new) and not _is_older(new, old)
    assert not _is_older(old, nic)


def test_every_loss_of_any_family_is_logged():
    row = {"loss": 1.5, "loss_ce": 1.0, "loss_kl": "0.5", "lr": 0.1}
    losses = {"train/loss": 1.5, "train/loss_ce": 1.0, "train/loss_kl": 0.5}
    assert epoch_metrics(row) == losses | {"train/lr": 0.1}


def test_bare_names_are_strict_scores():
    metrics = score_metrics(scores_of(model=0.2, constant=0.1))
    assert metrics["BLEU-4"] == 0.2
    assert metrics["floor/BLEU-4"] == 0.1
    assert metrics["paper_protocol/BLEU-4"] == pytest.approx(0.204)


def with_controls(f1: object = 0.25) -> dict:
    return scores_of() | {
        "controls": {"image_swap": {"strict": {"fall": {"BLEU-4": {"difference": 0.03}}}}},
        "findings": {"model": {"macro": {"f1": {"score": f1}}}},
    }


def test_controls_are_metrics_where_the_evaluation_gives_them():
    known = score_metrics(scores_of())
    assert known["predictions/copied_from_train"] == 0.02
    new = {"control/fall_BLEU-4": 0.03, "findings/macro_F1": 0.25}
    assert score_metrics(with_controls()) == known | new
    assert "findings/macro_F1" not in score_metrics(with_controls(None))


@pytest.mark.parametrize("scores", [with_controls("much"), scores_of() | {"controls": {}}])
def test_controls_that_are_no_numbers_are_one_line(root, place, scores):
    write_json(place.evaluation / "scores.json", scores)
    with pytest.raises(UserError, match=r"scores\.json, (findings|controls).*expected"):
        sync(root=root, folders=[place])


# DVC's experiments

LOCK = """schema: '2.0'
stages:
  evaluate:
    deps:
    - path: runs/main
      hash: md5
      md5: 0.dir
  train:
    cmd: python -m pipeline.train
    outs:
    - path: runs/main
      hash: md5
      md5: {}.dir
      size: 4
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of its own: (folder, a function that makes an experiment of a trained model)."""
    folder = tmp_path / "repository"
    folder.mkdir()
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")

    def git(*arguments):
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    def experiment(name, model):
        (folder / "dvc.lock").write_text(LOCK.format(model))
        git("add", "dvc.lock")
        git("commit", "--allow-empty", "--quiet", "-m", name)
        git("update-ref", f"refs/exps/ab/{'0' * 38}/{name}", "HEAD")

    git("init", "--quiet")
    return folder, experiment


def test_an_experiment_that_equals_another_is_found_at_the_others_run(repository, place):
    folder, experiment = repository
    for name, model in (("first", "a"), ("equal", "a"), ("other", "b")):
        experiment(name, model)
    (folder / "dvc.lock").write_text("stages: {")
    sync(root=folder, folders=[place])
    tracker = open_tracker(root=folder, data_name="iu_xray")
    assert tracker.guard.finish(60)

    def names() -> str | None:
        [run] = tracker.client.search_runs([tracker.experiment_id])
        return run.data.tags.get("dvc.exp")

    assert names() is None
    [run] = tracker.client.search_runs([tracker.experiment_id])
    tracker.client.set_tag(run.info.run_id, "dvc.exp", "first")
    sync(root=folder, folders=[place])
    assert names() == "equal first"
    experiment("third", "a")
    sync(root=folder, folders=[place])
    assert names() == "equal first third"


def test_an_experiment_that_equals_the_main_run_is_found_there(repository, place):
    folder, experiment = repository
    experiment("other", "b")
    experiment("equal", "a")  # as dvc.lock has it now
    write_run(folder / "runs/main", data="iu_xray", changes={"wcl.lambda_ce": 0.7})
    main = RunFolders(run=folder / "runs/main")
    sync(root=folder, folders=[main])
    tracker = open_tracker(root=folder, data_name="iu_xray")
    assert tracker.guard.finish(60)
    [run] = tracker.client.search_runs([tracker.experiment_id])
    assert run.data.tags["dvc.exp"] == "equal"


# Published runs

EARLIER = Path("reports/iu_xray-small-best-epoch")  # of another recipe, three seeds
PAPER = {"wcl.lambda_ce": 0.7}
OF_CELLS = {
    "main": PAPER,
    "rcan-2": PAPER | {"train.seed": 2},
    "tau_0.05-1": PAPER | {"wcl.tau": 0.05},
    "rve-1": {"model.use_cgm": False, "model.use_wcl": False},
}


@pytest.fixture
def numbers(tmp_path) -> Path:
    """A folder with published runs, as `python -m pipeline.publish` writes them, in `runs`."""
    for number, (name, changes) in enumerate(OF_CELLS.items()):
        run = tmp_path / "numbers/runs" / name
        write_run(run, data="iu_xray", key=f"{number:032}", changes=changes)
        write_json(run / "scores.json", scores_of("iu_xray", num_studies=12))
    (tmp_path / "numbers/runs/rve-1/history.csv").unlink()
    return tmp_path / "numbers"


def whole(database: Path, _: object) -> None:
    """In place of MLflow, for what does not depend on it."""
    database.write_text("whole")


def test_published_runs_are_a_store_apart_with_views_that_hold_them(
    numbers, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    root = tmp_path / "project"
    (root / "ablations").mkdir(parents=True)
    shutil.copy(TOP / "ablations/cells.yaml", root / "ablations")  # which table has which cell
    database = published_store(root, numbers)
    assert capsys.readouterr().out.endswith(f"MLflow holds 4 published run(s) of {numbers}\n")
    assert database.is_relative_to(root / ".rcan")
    assert {path.name for path in root.iterdir()} == {".rcan", "ablations"}
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("rcan-iu_xray-published")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {
        f"{name} (published)"
        for name in ("rcan-1", "rcan-2", "tau_0.05-1", "rve-1", "best constant report")
    }
    constant = runs["best constant report (published)"].data
    assert constant.metrics["BLEU-4"] == constant.metrics["floor/BLEU-4"] == 0.171
    assert constant.metrics["predictions/distinct_reports"] == 1
    assert (
        constant.metrics["findings/macro_F1"] == 0.2
        and constant.metrics["control/fall_BLEU-4"] == 0
    )
    main, rve = runs["rcan-1 (published)"], runs["rve-1 (published)"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert (main.data.tags["cell"], main.data.tags["seed"]) == ("rcan", "1")
    assert main.data.tags["published"] == str(numbers / "runs/main")
    assert main.data.params["wcl.lambda_ce"] == "0.7"
    for name, score in {
        "BLEU-4": 0.186, "floor/BLEU-4": 0.171, "control/fall_BLEU-4": 0.06,
        "findings/macro_F1": 0.5,
    }.items():  # fmt: skip
        assert rve.data.metrics[name] == score
    curves = [client.get_metric_history(run.info.run_id, "train/loss") for run in (main, rve)]
    assert [[point.step for point in curve] for curve in curves] == [list(range(1, 13)), []]
    kept = {file.path for file in client.list_artifacts(main.info.run_id)}
    assert kept == {"config.json", "best.json", "history.csv", "scores.json"}

    def shown(view: str) -> list[str]:
        saved = json.loads(experiment.tags[f"mlflow.sharedViewState.{view}"])["state"]
        sought = json.loads(saved)["searchFilter"]
        found = client.search_runs([experiment.experiment_id], sought)
        return sorted(run.info.run_name.partition(" ")[0] for run in found)

    assert shown("table4") == ["best", "rcan-1", "rcan-2", "rve-1"]
    assert shown("table5") == ["best", "rcan-1", "rcan-2", "tau_0.05-1"]
    every = ["best", "rcan-1", "rcan-2", "rve-1", "tau_0.05-1"]
    assert shown("scores") == shown("seeds") == every
    note = experiment.tags["mlflow.note.content"]
    assert note.startswith("Published numbers") and "{" not in note
    assert not {"mlflow.sharedViewState.fig5", "mlflow.sharedViewState.readings"} & set(
        experiment.tags
    )


def test_a_published_folder_is_read_again_only_when_it_has_changed(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(published_runs, "_fill", whole)
    first = published_store(tmp_path, numbers)
    made = first.stat().st_mtime_ns
    assert published_store(tmp_path, numbers / "runs").read_text() == "whole"
    assert published_store(tmp_path, numbers) == first and first.stat().st_mtime_ns == made
    write_json(numbers / "runs/rve-1/scores.json", scores_of("iu_xray", model=0.2))
    with in_use(first):
        second = published_store(tmp_path, numbers)
        assert first.exists()  # somebody is looking at it
    assert second != first
    write_json(numbers / "runs/rve-1/scores.json", scores_of("iu_xray", model=0.3))
    third = published_store(tmp_path, numbers)
    assert third.exists() and not first.exists() and not second.exists()


def test_of_published_runs_that_were_killed_or_failed_on_their_way_nothing_is_shown(
    numbers, tmp_path, monkeypatch
):
    def stopped(how: BaseException):
        def fill(database: Path, _: object) -> None:
            database.write_text("half")
            raise how

        return fill

    monkeypatch.setattr(published_runs, "_fill", stopped(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        published_store(tmp_path, numbers)
    monkeypatch.setattr(published_runs, "_fill", stopped(OSError("no space\nleft")))
    with pytest.raises(UserError, match=r"cannot be put into MLflow \(no space\); mend it"):
        published_store(tmp_path, numbers)
    assert not list(tmp_path.glob(".rcan/published/*/*/mlflow.db"))
    monkeypatch.setattr(published_runs, "_fill", whole)
    database = published_store(tmp_path, numbers)
    assert [path.name for path in database.parent.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("best.json", None, r"rcan-2/best\.json: expected the best epoch"),
        ("scores.json", None, r"rcan-2/scores\.json: expected scores"),
        ("scores.json", "{}", r"rcan-2/scores\.json: expected 'restricted'"),
        ("config.json", "{", r"rcan-2/config\.json"),
        ("history.csv", "epoch,loss\nfirst,1\n", r"rcan-2/history\.csv"),
    ],
)
def test_a_damaged_published_run_is_one_line_and_nothing_is_made(
    numbers, tmp_path, file, content, told
):
    path = numbers / "runs/rcan-2" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=f"{told}.*; get the published folder again"):
        published_store(tmp_path, numbers)
    assert not (tmp_path / ".rcan").exists()


def test_published_runs_of_any_family_have_the_row_that_the_paper_prints(tmp_path):
    config = {"data.name": "iu_xray", "train.seed": 1, "model.family": "nic"}
    run = published_runs.PublishedRun(tmp_path / "nic-1", config, {}, {}, [])
    tags = published_runs._tags(run, tmp_path, published_runs.register_of(TOP))
    assert (tags["cell"], tags["paper.table3"], tags["paper.BLEU-4"]) == ("nic", "yes", "0.066")
    assert "paper.METEOR" not in tags


@pytest.mark.parametrize(
    ("cell", "modules", "views"),
    [
        ("rcan", (True, True, True), {"table3", "table4", "table5", "fig5", "readings"}),
        ("rve_cgm", (True, True, False), {"table4", "fig5"}),  # the grid's cross-entropy alone
        ("rve", (True, False, False), {"table4"}),
    ],
)
def test_published_runs_stand_in_the_views_of_all_cells_that_are_their_model(
    cell, modules, views, tmp_path
):
    used = dict(zip(("model.use_rve", "model.use_cgm", "model.use_wcl"), modules, strict=True))
    config = {
        "data.name": "iu_xray", "train.seed": 1, "model.family": "rcan", "cgm.gate": "gated",
        "wcl.tau": 0.1, "wcl.lambda_ce": 0.7, **used,
    }  # fmt: skip
    run = published_runs.PublishedRun(tmp_path / f"{cell}-1", config, {}, {}, [])
    tags = published_runs._tags(run, tmp_path, published_runs.register_of(TOP))
    assert {name for name in tags if tags[name] == "yes"} == {f"paper.{view}" for view in views}
    assert tags["cell"] == cell


@pytest.mark.parametrize(
    ("folder", "some", "num"),
    [
        (published_runs.FOLDER, {"rcan", "cmas_style", "blind", "oracle_template"}, 50),
        (EARLIER, {"rcan", "rve_cgm", "blind", "tau_0.2"}, 14),
    ],
)
def test_the_projects_own_published_runs_are_of_these_cells(folder, some, num):
    runs = published_runs.published_runs(TOP / folder)
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.cell, []).append(run.config["train.seed"])
    told = {tuple(sorted(found)) for found in seeds.values()}
    assert told <= ({(1, 2, 3)} if folder == EARLIER else {(1,), (1, 2, 3)})
    assert some < set(seeds) and len(seeds) == num
    assert all(run.history for run in runs)


def test_the_projects_own_published_runs_fill_a_store(tmp_path):
    (tmp_path / "ablations").mkdir()
    shutil.copy(TOP / "ablations/cells.yaml", tmp_path / "ablations")
    folder = TOP / published_runs.FOLDER
    database = published_store(tmp_path, folder, quiet=True)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("rcan-iu_xray-published")
    held = {
        run.info.run_name: run.data.metrics["BLEU-4"]
        for run in client.search_runs([experiment.experiment_id])
    }
    assert held.pop("best constant report (published)") > 0
    assert held == {
        f"{run.cell}-{run.config['train.seed']} (published)": pytest.approx(
            run.scores["protocols"]["strict"]["model"]["BLEU-4"]["score"], abs=5e-5
        )
        for run in published_runs.published_runs(folder)
    }
    assert "mlflow.sharedViewState.table3" in experiment.tags
