"""Where the repository is, and what state its code is in."""

import subprocess

import pytest

from rcan import project
from rcan.errors import UserError
from rcan.project import git_state, project_root


def git(*arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with one commit, as the current folder."""
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        (tmp_path / name).write_text("tau: 0.1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path


def test_dvc_says_where_the_repository_is(repository, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", "/somewhere/else")
    assert str(project_root()) == "/somewhere/else"


def test_without_dvc_it_is_the_folder_above_with_both_files(repository, monkeypatch):
    (repository / "ablations").mkdir()
    (repository / "ablations" / "dvc.yaml").write_text("")
    monkeypatch.chdir(repository / "ablations")
    assert project_root() == repository


def test_outside_any_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "__file__", str(tmp_path / "rcan" / "project.py"))
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        project_root()


def test_a_clean_tree_has_a_commit_and_no_diff(repository):
    (repository / "dvc.lock").write_text("rewritten by dvc itself\n")
    (repository / "untracked.txt").write_text("of no account\n")
    assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False, "diff": ""}


def test_an_edit_makes_it_dirty_and_is_in_the_diff(repository):
    (repository / "params.yaml").write_text("tau: 0.07\n")
    state = git_state()
    assert state["dirty"] is True
    assert "+tau: 0.07" in state["diff"]


def test_an_experiment_goes_by_its_baseline(repository, monkeypatch):
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "b" * 40)
    assert git_state()["commit"] == "b" * 40


def test_a_huge_diff_is_cut(repository, monkeypatch):
    monkeypatch.setattr(project, "MAX_DIFF_CHARS", 100)
    (repository / "params.yaml").write_text("tau: 0.07\n" * 100)
    assert len(git_state()["diff"]) < 200
    assert "more characters left out" in git_state()["diff"]


@pytest.mark.parametrize("absent", ["repository", "git"])
def test_without_git_the_state_is_unknown(tmp_path, monkeypatch, absent):
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if absent == "git":
        monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert git_state() == {"commit": None, "dirty": False, "diff": ""}


def test_git_is_asked_of_the_folder_and_not_of_a_hooks_repository(repository, monkeypatch):
    commit = git("rev-parse", "HEAD")
    (repository / "other").mkdir()
    git("init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(repository / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / "other" / "index"))
    assert git_state() == {"commit": commit, "dirty": False, "diff": ""}


def test_a_git_that_refuses_is_told_once_in_its_own_words(repository, monkeypatch, capfd):
    project._tell.cache_clear()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for its tests
    assert git_state() == {"commit": None, "dirty": False, "diff": ""}
    (told,) = capfd.readouterr().err.splitlines()
    assert told.startswith("no commit and no edit is recorded: git says fatal: detected dubious")
    assert told.endswith(f"; git config --global --add safe.directory {repository}")


def test_a_git_that_hangs_is_told(repository, monkeypatch, capfd):
    project._tell.cache_clear()
    monkeypatch.setattr(project, "GIT_SECONDS", 0)
    assert git_state()["commit"] is None
    assert "git did not answer within 0 s" in capfd.readouterr().err
