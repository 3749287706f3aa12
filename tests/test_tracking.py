"""Runs in a real local MLflow, and what becomes of work when MLflow is not there."""

import _thread
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pytest
from fabricated import KEY

from rcan.tracking import Tracker, open_tracker
from rcan.tracking.guard import Guard

RUN = {"key": KEY, "name": "RVE+CGM tau=0.1", "params": {"wcl.tau": 0.1}, "tags": {"seed": 1}}


def opened(root: Path) -> Tracker:
    """The tracker of a folder, once it is open."""
    tracker = open_tracker(root=root, data_name="demo")
    assert tracker.guard.finish(60)
    return tracker


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A folder with a database in it: creating one takes seconds."""
    root = tmp_path_factory.mktemp("repository")
    opened(root)
    return root


@pytest.fixture
def tracker(repository):
    return opened(repository)


def the_run(tracker, key: str):
    """The one run of a key, as MLflow has it."""
    found = tracker.client.search_runs([tracker.experiment_id], f"tags.`rcan.key` = '{key}'")
    assert len(found) == 1
    return found[0]


def curve(tracker, key: str, metric: str) -> list[tuple[int, float]]:
    history = tracker.client.get_metric_history(the_run(tracker, key).info.run_id, metric)
    return sorted((point.step, point.value) for point in history)


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
    monkeypatch.setattr("rcan.tracking.tracker.git_state", lambda: git)
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
        tracker = opened(repository)
        experiment = tracker.client.get_experiment(tracker.experiment_id)
        assert experiment.artifact_location == (repository / "mlartifacts/rcan-demo").as_uri()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a%20b", "a?b"])
def test_a_folder_whose_name_means_something_else_in_a_uri(name, tmp_path, monkeypatch):
    root = tmp_path / name / "p"
    root.mkdir(parents=True)
    note = root / "note.txt"
    note.write_text("kept")
    tracker = opened(root)
    with tracker.run(**RUN, with_diff=False) as run:
        run.log_files([note])
    assert tracker.guard.finish(60) and (root / "mlflow.db").stat().st_size
    found = tracker.client.list_artifacts(the_run(tracker, KEY).info.run_id)
    assert [file.path for file in found] == ["note.txt"]
    assert len(list(root.glob("mlartifacts/rcan-demo/*/artifacts/note.txt"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_experiment_explains_itself(tracker):
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    assert tags["mlflow.note.content"].startswith("One run is one model trained on demo")
    assert "`train.choose` says which epoch was kept" in tags["mlflow.note.content"]
    assert "mlflow.sharedViewState.scores" in tags


def test_a_database_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    seen = []

    class Client(mlflow.MlflowClient):
        def search_experiments(self, **settings):
            seen.append((tmp_path / "mlflow.db").exists())
            return super().search_experiments(**settings)

    monkeypatch.setattr(mlflow, "MlflowClient", Client)
    tracker = opened(tmp_path)
    assert seen == [False]
    assert (tmp_path / "mlflow.db").exists()
    assert [path.name for path in tmp_path.glob("*.db*")] == ["mlflow.db"]
    assert opened(tmp_path).experiment_id == tracker.experiment_id
    assert seen == [False]


def test_of_runs_that_several_processes_made_for_one_key_all_take_the_same(tracker):
    client, key = tracker.client, "8" * 32
    made = [
        client.create_run(tracker.experiment_id, start_time=time, tags={"rcan.key": key})
        for time in (300, 200, 100)
    ]
    client.log_metric(made[1].info.run_id, "train/loss", 2.0, step=1)  # one did get on
    with tracker.run(**{**RUN, "key": key}) as run:
        run.log_epoch(1, {"train/loss": 2.0})
        run.log_epoch(2, {"train/loss": 1.0})
    assert the_run(tracker, key).info.run_id == made[1].info.run_id
    assert curve(tracker, key, "train/loss") == [(1, 2.0), (2, 1.0)]


def test_an_epoch_that_is_sent_twice_is_recorded_once(tracker, repository):
    """As when a request is given up, and its epoch sent again before the server came to it."""
    again = opened(repository)
    with tracker.run(**{**RUN, "key": "7" * 32}) as run:
        assert tracker.guard.finish(60)
        other = again.attach(**{**RUN, "key": "7" * 32})
        other.log_epoch(1, {"train/loss": 2.0})
        assert again.guard.finish(60)
        run.log_epoch(1, {"train/loss": 2.0})  # it has not seen the other's
    assert curve(tracker, "7" * 32, "train/loss") == [(1, 2.0)]


def work_without(uri: str, root: Path, monkeypatch, capfd) -> str:
    """Train against a tracker that is not there; returns what was printed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    start = time.monotonic()
    with open_tracker(root=root, data_name="demo").run(**RUN) as run:
        run.log_epoch(1, {"train/loss": 1.0})
    assert time.monotonic() - start < 25
    return capfd.readouterr().err


def test_a_server_that_is_down_costs_one_line(tmp_path, monkeypatch, capfd):
    printed = work_without("http://me:secret@127.0.0.1:9", tmp_path, monkeypatch, capfd)
    assert printed.count("\n") == 1
    assert "127.0.0.1:9" in printed and "rcan sync" in printed
    assert "secret" not in printed


def test_a_server_that_never_answers_costs_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("rcan.tracking.tracker.AT_THE_END", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        printed = work_without(f"http://127.0.0.1:{port}", tmp_path, monkeypatch, capfd)
    assert printed.count("\n") == 1


def test_a_database_that_another_process_locks_costs_one_line(
    tracker, repository, monkeypatch, capfd
):
    monkeypatch.setattr("rcan.tracking.tracker.AT_THE_END", 1)
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
    guard.send(done.append, 1)
    assert guard.finish(5)
    guard.send(lambda: 1 / 0)
    guard.send(done.append, 2)
    assert not guard.finish(5)
    guard.send(done.append, 3)
    assert not guard.finish(5)
    assert done == [1]
    assert capsys.readouterr().err == "store: division by zero. work goes on.\n"


def test_a_guard_that_cannot_tell_its_failure_ends_in_silence(capsys, monkeypatch):
    guard = Guard("store", "work goes on.")
    monkeypatch.setattr("rcan.tracking.guard.without_password", lambda line: 1 / 0)
    guard.send(lambda: [].pop())
    assert not guard.finish(5)
    assert capsys.readouterr() == ("", "")


def test_a_guard_keeps_nobody_waiting_before_the_end(capsys):
    guard = Guard("store", "work goes on.")
    free = threading.Event()
    done = []
    start = time.monotonic()
    guard.send(free.wait, 60)
    for number in range(100):
        guard.send(done.append, number)
    assert time.monotonic() - start < 0.5
    assert not guard.finish(0.5)
    assert time.monotonic() - start < 2
    free.set()
    assert done == []
    assert capsys.readouterr().err == "store: no answer within 0 s. work goes on.\n"


def test_a_guard_does_things_in_order(capsys):
    guard = Guard("store", "work goes on.")
    done = []
    for number in range(1000):
        guard.send(done.append, number)
    assert guard.finish(60)
    assert done == list(range(1000))


def test_a_guard_that_gets_no_thread_costs_one_line(monkeypatch, capsys):
    def no_more(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", no_more)
    guard = Guard("store", "work goes on.")
    guard.send(print, "done")
    guard.send(print, "done")
    assert not guard.finish(1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "store: can't start new thread. work goes on.\n"


def test_a_guard_that_cannot_even_tell_what_failed_keeps_nobody_waiting(monkeypatch):
    def lacking(*_):
        raise MemoryError

    monkeypatch.setattr("rcan.tracking.guard.without_password", lacking)
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: None)  # as the thread ends by it
    guard = Guard("store", "work goes on.")
    start = time.monotonic()
    guard.send(lacking)
    assert not guard.finish(60)
    assert time.monotonic() - start < 30


def test_mlflow_understands_what_the_views_look_for(tracker):
    """The interface sends a view's filter and its order to the server as they are."""
    experiment = tracker.client.get_experiment(tracker.experiment_id)
    for name, outdated in (("1", {}), ("2", {"outdated": "yes"})):
        tags = dict.fromkeys(
            ("paper.table3", "paper.table4", "paper.table5", "paper.fig5", "paper.readings"), "yes"
        )
        key = name * 32
        with tracker.run(**{**RUN, "key": key, "tags": {**tags, **outdated, "cell": "all"}}):
            pass
    views = {
        view: json.loads(json.loads(value)["state"])
        for tag, value in experiment.tags.items()
        for view in [tag.removeprefix("mlflow.sharedViewState.")]
        if view != tag
    }
    assert set(views) == {"scores", "table3", "table4", "table5", "fig5", "seeds", "readings"}
    for view, state in views.items():
        direction = "ASC" if state["orderByAsc"] else "DESC"
        found = tracker.client.search_runs(
            [tracker.experiment_id], state["searchFilter"],
            order_by=[f"{state['orderByKey']} {direction}"],
        )  # fmt: skip
        keys = {run.data.tags["rcan.key"] for run in found}
        assert "1" * 32 in keys and "2" * 32 not in keys
        assert view == "scores" or len(keys) == 1
        assert f"viewStateShareKey={view}" in experiment.tags["mlflow.note.content"]
        assert set(state["selectedColumns"]) <= set(state["columnOrder"])
    first_line = experiment.tags["mlflow.note.content"].partition("\n")[0]
    assert first_line.count("](#/experiments/") == len(views)
