"""Runs in a real local MLflow, and what becomes of work when MLflow is not there."""

import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fabricated import KEY

from rcan.tracking import open_tracker
from rcan.tracking.guard import Guard

RUN = {"key": KEY, "name": "RVE+CGM tau=0.1", "params": {"wcl.tau": 0.1}, "tags": {"seed": 1}}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A folder with a database in it: creating one takes seconds."""
    root = tmp_path_factory.mktemp("repository")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    open_tracker(root=root, data_name="demo")
    return root


@pytest.fixture
def tracker(repository, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return open_tracker(root=repository, data_name="demo")


def the_run(tracker, key: str):
    """The one run of a key, as MLflow has it."""
    found = tracker.client.search_runs([tracker.experiment_id], f"tags.`rcan.key` = '{key}'")
    assert len(found) == 1
    return found[0]


def curve(tracker, key: str, metric: str) -> list[tuple[int, float]]:
    history = tracker.client.get_metric_history(the_run(tracker, key).info.run_id, metric)
    return [(point.step, point.value) for point in history]


def test_importing_tracking_does_not_import_mlflow():
    code = "import sys, rcan.tracking; assert not {'mlflow', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_a_run_records_parameters_tags_curves_scores_files_and_data(tracker, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("kept")
    with tracker.run(**{**RUN, "key": "a" * 32}) as run:
        run.log_epoch(1, {"train/loss": 2.0, "val/BLEU-4": 0.1})
        run.log_epoch(2, {"train/loss": 1.0, "val/BLEU-4": 0.2})
        run.log_scores({"BLEU-4": 0.186349, "floor/BLEU-4": 0.171})
        run.log_files([note], "notes")
        run.log_dataset("demo", "d" * 32, "data/processed")
    seen = the_run(tracker, "a" * 32)
    assert (seen.info.run_name, seen.info.status) == ("RVE+CGM tau=0.1", "FINISHED")
    assert seen.data.params == {"wcl.tau": "0.1"}
    assert seen.data.tags["seed"] == "1"
    assert seen.data.metrics["BLEU-4"] == 0.1863
    assert curve(tracker, "a" * 32, "train/loss") == [(1, 2.0), (2, 1.0)]
    assert seen.inputs.dataset_inputs[0].dataset.digest == "d" * 32
    [kept] = tracker.client.list_artifacts(seen.info.run_id, "notes")
    assert kept.path == "notes/note.txt"


def test_a_resumed_run_goes_on_and_logs_no_epoch_twice(tracker):
    with pytest.raises(KeyboardInterrupt), tracker.run(**RUN) as run:
        run.log_epoch(1, {"train/loss": 2.0})
        run.log_epoch(1, {"train/loss": 2.0})
        raise KeyboardInterrupt
    assert the_run(tracker, KEY).info.status == "KILLED"
    with pytest.raises(ZeroDivisionError), tracker.run(**RUN) as run:
        run.log_epoch(1, {"train/loss": 9.0})
        run.log_epoch(2, {"train/loss": 1.0})
        raise ZeroDivisionError
    assert the_run(tracker, KEY).info.status == "FAILED"
    assert curve(tracker, KEY, "train/loss") == [(1, 2.0), (2, 1.0)]


def test_a_run_says_where_it_came_from(tracker, monkeypatch, tmp_path):
    git = {"commit": "c" * 40, "dirty": True, "diff": "-tau: 0.1\n+tau: 0.07\n"}
    monkeypatch.setattr("rcan.tracking.run.git_state", lambda: git)
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setenv("DVC_EXP_NAME", "warm-tau")
    with tracker.run(**{**RUN, "key": "b" * 32}):
        pass
    tags = the_run(tracker, "b" * 32).data.tags
    assert tags["git.commit"] == "c" * 40
    assert (tags["git.dirty"], tags["dvc.stage"], tags["dvc.exp"]) == ("yes", "train", "warm-tau")
    run_id = the_run(tracker, "b" * 32).info.run_id
    kept = tracker.client.download_artifacts(run_id, "git.diff", str(tmp_path))
    assert Path(kept).read_text() == git["diff"]


def test_more_parameters_than_one_batch_takes(tracker):
    params = {f"model.p{i}": i for i in range(250)}
    with tracker.run(key="e" * 32, name="many", params=params, tags={}):
        pass
    assert len(the_run(tracker, "e" * 32).data.params) == 250


def test_database_and_files_lie_in_the_repository_wherever_the_work_is_done(
    repository, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for uri in ("", "sqlite:///mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        tracker = open_tracker(root=repository, data_name="demo")
        experiment = tracker.client.get_experiment(tracker.experiment_id)
        assert experiment.artifact_location == (repository / "mlartifacts/rcan-demo").as_uri()
    assert not list(tmp_path.iterdir())


def test_the_experiment_explains_itself(tracker):
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    assert tags["mlflow.note.content"].startswith("One run is one model trained on demo")
    assert "mlflow.sharedViewState.scores" in tags


def _open_and_log(root: Path, key: str) -> None:
    tracker = open_tracker(root=root, data_name="demo")
    with tracker.run(**{**RUN, "key": key}) as run:
        run.log_epoch(1, {"train/loss": 1.0})


def test_two_processes_may_start_on_a_fresh_database(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    spawn = multiprocessing.get_context("spawn")
    keys = ["1" * 32, "2" * 32]
    both = [spawn.Process(target=_open_and_log, args=(tmp_path, key)) for key in keys]
    for process in both:
        process.start()
    for process in both:
        process.join()
    tracker = open_tracker(root=tmp_path, data_name="demo")
    for key in keys:
        assert curve(tracker, key, "train/loss") == [(1, 1.0)]


def work_without(uri: str, root: Path, monkeypatch, capfd) -> str:
    """Train against a tracker that is not there; returns what was printed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    start = time.monotonic()
    _open_and_log(root, KEY)
    assert time.monotonic() - start < 25
    return capfd.readouterr().err


def test_a_server_that_is_down_costs_one_line(tmp_path, monkeypatch, capfd):
    printed = work_without("http://me:secret@127.0.0.1:9", tmp_path, monkeypatch, capfd)
    assert printed.count("\n") == 1
    assert "127.0.0.1:9" in printed and "rcan sync" in printed
    assert "secret" not in printed


def test_a_server_that_never_answers_costs_one_line(tmp_path, monkeypatch, capfd):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        printed = work_without(f"http://127.0.0.1:{port}", tmp_path, monkeypatch, capfd)
    assert printed.count("\n") == 1


def test_a_database_that_another_process_locks_costs_one_line(tracker, repository, capfd):
    tracker.patience = 1
    other = sqlite3.connect(repository / "mlflow.db")
    with tracker.run(**{**RUN, "key": "f" * 32}) as run:
        other.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        for epoch in range(1, 50):
            run.log_epoch(epoch, {"train/loss": 1.0})
    assert time.monotonic() - start < 5
    other.close()
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert "no answer within 1 s" in printed


def test_a_guard_runs_nothing_after_the_first_failure(capsys):
    guard = Guard("store", "work goes on.")
    done = []
    assert guard(lambda: done.append(1) or 7, 5) == 7
    assert guard(lambda: 1 / 0, 5) is None
    assert guard(lambda: done.append(2), 5) is None
    assert done == [1]
    assert capsys.readouterr().err == "store: division by zero. work goes on.\n"
