"""The command `rcan`."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection

import pytest
import typer
from fabricated import scores_of, write_evaluation, write_run

from rcan.cli.app import app
from rcan.files import write_json
from rcan.tracking import free_port, ui


@pytest.fixture
def rcan(empty_project, command):
    """Runs the command in an empty project."""
    return command


def test_without_a_run_there_is_nothing_to_put_into_mlflow(rcan, tmp_path):
    assert rcan("sync") == (0, "MLflow holds 0 run(s) of this folder\n")
    assert {path.name for path in tmp_path.iterdir()} == {"dvc.yaml", "params.yaml"}


def test_runs_that_were_trained_elsewhere_are_told_with_where_they_are_shown(rcan, tmp_path):
    write_run(tmp_path / "runs/rve-1")
    write_json(tmp_path / "data/evaluation/rve-1/scores.json", scores_of())  # no predictions
    assert rcan("sync") == (
        0,
        "MLflow holds 0 run(s) of this folder; 1 trained elsewhere: `rcan ui --published FOLDER` "
        "shows them\n",
    )


def test_what_mlflow_holds_is_told_to_programs_too(rcan):
    assert rcan("sync", "--json", "--quiet") == (0, '{\n  "runs": 0\n}\n')


def test_a_damaged_run_is_one_line(rcan, tmp_path):
    (tmp_path / "runs/main").mkdir(parents=True)
    (tmp_path / "runs/main/best.json").write_text("{")
    (tmp_path / "runs/main/config.json").write_text("{")
    code, output = rcan("sync")
    assert code.startswith("error: ") and "config.json" in code and "\n" not in code
    assert output == ""


def test_help_names_the_commands(rcan):
    code, output = rcan("--help")
    assert code == 0 and "sync" in output and "ui" in output


def test_without_a_run_there_is_nothing_to_show(rcan):
    code, output = rcan("ui")
    assert code == (
        "error: MLflow holds no run yet: `dvc repro` trains one; `rcan ui --published` shows the "
        "published ones"
    )
    assert output == "MLflow holds 0 run(s) of this folder\n"


def test_a_port_that_is_taken_is_one_line_if_it_was_asked_for(rcan, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = rcan("ui", "--port", str(port))
        assert code == (
            f"error: port {port} cannot be had (Address already in use): leave out --port for a "
            "free one"
        )
        assert output == ""
        monkeypatch.setattr(ui, "PORT", port)
        assert free_port(None) not in (port, 0)


def test_runs_that_a_server_keeps_are_shown_by_that_server(rcan, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@tracker:5000")
    assert rcan("ui", "--no-sync") == (
        0, "MLFLOW_TRACKING_URI names a server: open http://tracker:5000\n",
    )  # fmt: skip


def test_what_is_no_server_and_no_database_is_not_called_one(rcan, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    code, _ = rcan("ui", "--no-sync")
    assert code.startswith("error: MLFLOW_TRACKING_URI is databricks: expected a server (http) or")


def test_a_server_that_ends_by_itself_is_one_line(rcan, tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr(ui.sys, "executable", "/bin/false")
    code, output = rcan("ui", "--no-sync")
    assert code.startswith("error: MLflow's server ended by itself (1): what it said is in ")
    assert "wait" in output


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("nowhere", "expected a folder of published runs, found none; leave it out for reports/"),
        ("runs", "expected folders of published runs with scores.json, found none; name another"),
        ("", "expected a folder of published runs, found none; leave it out for reports/"),
    ],
)
def test_without_published_runs_there_is_one_line(rcan, tmp_path, folder, told):
    (tmp_path / "runs/main").mkdir(parents=True)
    code, output = rcan("ui", "--published", *folder.split())
    assert code.startswith("error: ") and told in code and output == ""
    assert not (tmp_path / ".rcan").exists()


def test_published_runs_are_shown_from_their_own_store(rcan, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (tmp_path / "store").mkdir()
    database, seen = tmp_path / "store/mlflow.db", []
    database.touch()
    monkeypatch.setattr("rcan.tracking.published_store", lambda root, folder, quiet: database)

    def started(command, *, cwd, env, **_):
        seen.append((command[command.index("--backend-store-uri") + 1], cwd, env))
        raise OSError("enough")

    monkeypatch.setattr(ui.subprocess, "Popen", started)
    assert rcan("ui", "--published", "numbers")[0] == "error: enough"
    [(uri, folder, environment)] = seen
    assert (uri, folder) == ("sqlite:///mlflow.db", database.parent)
    assert "MLFLOW_TRACKING_URI" not in environment
    assert rcan("ui", "numbers")[0] == 2


def get(port: int, address: str) -> dict:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", address)
        return json.loads(connection.getresponse().read())


def test_the_interface_opens_on_the_scores_and_ends_by_ctrl_c(tmp_path):
    root = tmp_path / "50%20?" / "p"  # a name that means something else in a URI
    write_run(root / "runs/main")
    write_evaluation(root / "data/evaluation/main", scores_of(num_studies=12))
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).touch()
    port = free_port(None)
    command = [sys.executable, "-c", "from rcan.cli import main; main()", "ui", "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}
    environment |= {"MLFLOW_STATIC_PREFIX": "/elsewhere", "MLFLOW_ARTIFACTS_ONLY": "true"}
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background
    running = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, ignored)
    lines = [running.stdout.readline() for _ in range(4)]
    assert lines == [
        "MLflow holds 1 run(s) of this folder\n",
        "MLflow is starting: wait, it takes about half a minute\n",
        f"rcan-demo: http://127.0.0.1:{port}/#/experiments/1/runs?viewStateShareKey=scores"
        "&workflowType=machine_learning\n",
        "Ctrl-C ends it\n",
    ]
    found = get(port, "/api/2.0/mlflow/experiments/get?experiment_id=1")["experiment"]
    assert "mlflow.sharedViewState.scores" in {tag["key"] for tag in found["tags"]}
    start = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60) == ("MLflow has ended\n", None)
    assert running.returncode == 0 and time.monotonic() - start < 15
    with pytest.raises(ConnectionRefusedError):
        get(port, "/health")
    assert [path.name for path in tmp_path.iterdir()] == ["50%20?"]


def test_every_command_can_be_quiet_and_speak_to_programs():
    commands = typer.main.get_command(app).commands
    every = commands | commands["data"].commands
    options = {
        name: {opt for param in one.params for opt in param.opts}
        for name, one in every.items()
        if name != "data"
    }
    assert {"generate", "score", "check"} <= set(options)
    assert [name for name, have in options.items() if "--quiet" not in have] == []
    assert [name for name, have in options.items() if "--json" not in have] == ["ui"]


def test_numpy_multiplies_on_one_thread_whatever_another_tool_asked_for(rcan, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    rcan("--help")
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
