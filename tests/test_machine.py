"""`rcan doctor` and what it looks at."""

import json
import subprocess
from pathlib import Path

import pytest
from imports import TOP

from rcan import machine
from rcan.cores import busy_cores, cpu_quota, watch_cores


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


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(empty_project, monkeypatch):
    """A project with one commit and no settings of git's but its own."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME", raising=False)
    git(empty_project, "init", "-q")
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    git(empty_project, "add", ".")
    git(empty_project, *who, "commit", "-qm", "first")
    return empty_project


def test_the_commit_is_the_projects_and_a_git_that_knows_nobody_is_told(
    doctor, repository, monkeypatch
):
    (repository / "deep").mkdir()
    git(repository / "deep", "init", "-q")  # another repository, with no commit
    monkeypatch.chdir(repository / "deep")
    monkeypatch.setenv("GIT_DIR", str(repository / "deep" / ".git"))  # as in one of its hooks
    monkeypatch.setenv("GIT_WORK_TREE", str(repository / "deep"))
    code, printed = doctor("git")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    commit = git(repository, "rev-parse", "--short", "HEAD")
    assert code == 0 and f"commit {commit}; nobody's" in printed and "user.email" in printed
    for what in ("name", "email"):
        git(repository, "config", f"user.{what}", "somebody")
    assert doctor("git")[1].endswith(f"commit {commit}\n")


def test_a_shallow_clone_is_told_with_what_it_costs(doctor, repository, monkeypatch):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    git(repository, *who, "commit", "-q", "--allow-empty", "-m", "second")
    git(repository, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    monkeypatch.chdir(repository / "shallow")
    assert "a shallow clone: queued experiments are lost" in doctor("git")[1]
    git(repository / "shallow", "fetch", "-q", "--unshallow")
    assert "shallow" not in doctor("git")[1]


def test_without_a_repository_or_a_commit_it_is_told_which(doctor, empty_project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(empty_project.parent))
    code, printed = doctor("git")
    assert code == 1 and f"no repository in {empty_project}: git init && git add" in printed
    git(empty_project, "init", "-q")
    assert f"no commit in {empty_project}: git add . &&" in doctor("git")[1]


def test_a_git_that_refuses_is_told_in_its_own_words(doctor, repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for its tests
    code, printed = doctor("git")
    assert code == 1 and "ownership" in printed
    assert printed.endswith(f"; git config --global --add safe.directory {repository}\n")


def test_code_of_another_checkout_is_told(doctor, empty_project, monkeypatch):
    code, printed = doctor("code")
    assert code == 1 and f"{TOP} runs, and not {empty_project}: source " in printed
    monkeypatch.chdir(TOP)
    monkeypatch.setenv("PYTHONPATH", "/opt/modules")
    code, printed = doctor("code")
    assert code == 0 and f"that of {TOP}; PYTHONPATH is /opt/modules" in printed


# Cores, by made-up texts of the system

STAT = """cpu  {0} 0 0 {1} 0 0 0 0 0 0
cpu0 {0} 0 0 {1} 0 0 0 0 0 0
cpu1 50 5 5 900 40 0 0 0 50 0
cpu7 9999 0 0 0 0 0 0 0 0 0
intr 17
"""
OWN = "4711 (python 1) 2) S 1 2 3 4 5 6 7 8 9 10 {} {} 0 0 20 0 1\n"


def test_busy_cores_are_those_of_others_among_the_allowed():
    before = STAT.format(100, 100), OWN.format(10, 20)
    after = STAT.format(120, 105), OWN.format(12, 23)
    assert busy_cores(before, after, {0}) == pytest.approx(15 / 25)  # 20 busy ticks, 5 our own
    assert busy_cores(before, (after[0], OWN.format(999, 0)), {0}) == 0
    waiting = after[0].replace("cpu1 50 5 5 900 40", "cpu1 55 5 5 915 45")
    assert busy_cores(before, (waiting, before[1]), {0, 1}) == pytest.approx(2 * 25 / 50)
    with pytest.raises(ValueError, match="no time passed"):
        busy_cores(before, before, {0, 1})
    with pytest.raises(ValueError, match="no time passed"):
        busy_cores(("", ""), ("", ""), {0})


@pytest.mark.parametrize(
    ("files", "group", "quota"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"cpu.max": "max 100000", "job/cpu.max": "50000 100000"}, "0::/job/step", 0.5),
        ({"job/cpu.max": "400000 100000", "job/step/cpu.max": "max 100000"}, "0::/job/step", 4.0),
        ({"cpu.max": "max 100000"}, "0::/elsewhere", None),
        (
            {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            "4:cpu,cpuacct:/docker/of-the-host\n3:cpuset:/", 2.0,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/", None),
        ({"cpu.max": "of another kind"}, "0::/\nof another kind", None),
        ({}, "", None),
    ],
)  # fmt: skip
def test_a_quota_is_the_least_of_all_groups_above(files, group, quota, tmp_path):
    for name, text in files.items():
        (tmp_path / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mounted" / name).write_text(f"{text}\n")
    (tmp_path / "cgroup").write_text(f"{group}\n")
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "mounted") == quota
    assert cpu_quota(tmp_path / "none", tmp_path / "mounted") is None


@pytest.mark.parametrize(
    ("busy", "quota", "state", "told"),
    [
        (0.3, None, "ok", "4, 0.3 of them busy with other processes' work\n"),
        (0.3, 8.0, "ok", "4, 0.3 of them busy with other processes' work\n"),
        (3.9, None, "without", "busy with other processes' work: all takes longer"),
        (1.4, None, "without", "4, 1.4 of them busy"),
        (0.0, 2.5, "without", "; this job may use 2.5 of 4 cores: export RCAN_JOBS=2\n"),
        (OSError("no /proc"), None, "ok", "not known on this system\n"),
    ],
)  # fmt: skip
def test_cores_that_are_taken_are_one_line(doctor, monkeypatch, busy, quota, state, told):
    def watch(allowed: set[int], seconds: float) -> float:
        if isinstance(busy, Exception):
            raise busy
        return busy

    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(machine, "watch_cores", watch)
    monkeypatch.setattr(machine, "cpu_quota", lambda *_: quota)
    code, printed = doctor("cores")
    assert code == 0 and printed.split()[:2] == [state, "cores"] and told in printed
    assert printed.count("\n") == 1


def test_this_machine_tells_of_its_cores():
    allowed = machine.os.sched_getaffinity(0)
    try:
        busy = watch_cores(allowed, 0.1)
    except (OSError, ValueError):
        pytest.skip("this system does not tell of its cores")
    assert 0 <= busy <= len(allowed)


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
