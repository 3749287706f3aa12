"""`rcan doctor` and what it looks at."""

import json

import pytest

from rcan import machine


@pytest.fixture
def doctor(command, monkeypatch):
    """Runs the command with only the named checks."""

    def run(*names: str, arguments: tuple[str, ...] = ()) -> tuple[int | str | None, str]:
        chosen = {name: machine._CHECKS[name] for name in names}
        monkeypatch.setattr(machine, "_CHECKS", chosen)
        return command("doctor", *arguments)

    return run


def test_this_machine_has_what_the_tests_themselves_need(doctor):
    code, printed = doctor("Python", "packages", "device")
    assert code == 0
    assert [line.split()[0] for line in printed.splitlines()] == ["ok"] * 3


def test_a_lack_that_matters_is_told_with_its_remedy_and_ends_in_1(doctor, monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    code, printed = doctor("Python", "git")
    assert code == 1
    assert printed.splitlines()[1].split(maxsplit=2) == ["lacks", "git", "not found: install git"]


def test_a_lack_that_the_pipeline_can_do_without_ends_in_0(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("RCAN_DATA", str(tmp_path / "nowhere"))
    code, printed = doctor("data", arguments=("--json",))
    assert code == 0
    (finding,) = json.loads(printed)
    assert finding["state"] == "without" and "no folder" in finding["told"]


def test_whatever_a_check_fails_with_is_one_line(doctor, monkeypatch):
    def broken() -> str:
        raise RuntimeError("a driver\nof another version")

    monkeypatch.setitem(machine._CHECKS, "device", (broken, True))
    code, printed = doctor("device")
    assert code == 1
    assert printed == "lacks   device  RuntimeError: a driver\\nof another version\n"


def test_a_git_that_knows_nobody_is_told(doctor, monkeypatch):
    asked = {"rev-parse": "abc1234\n", "config": ""}
    monkeypatch.setattr(machine, "git_output", lambda *arguments: asked[arguments[0]])
    code, printed = doctor("git")
    assert code == 0 and "commit abc1234; nobody's" in printed and "user.email" in printed
    asked["config"] = "somebody\n"
    assert doctor("git")[1].endswith("commit abc1234\n")


def test_too_little_disk_is_told(doctor, monkeypatch):
    monkeypatch.setattr(machine, "LEAST_DISK", 1e18)
    code, printed = doctor("disk")
    assert code == 1 and "1000000000 GB are wanted" in printed


def test_a_tracking_server_that_does_not_answer_is_told_without_its_password(doctor, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    code, printed = doctor("MLflow")
    assert code == 0 and "http://127.0.0.1:9 does not answer" in printed
    assert "secret" not in printed


def test_other_versions_than_the_pinned_ones_are_named(doctor, monkeypatch, tmp_path):
    (tmp_path / "requirements.lock").write_text("torch==0.1\nsafetensors==0.0.1 ; sys_platform\n")
    monkeypatch.setattr(machine, "project_root", lambda: tmp_path)
    code, printed = doctor("packages")
    assert code == 0
    assert "pinned 0.0.1" in printed and "torch" in printed and "numpy" not in printed
