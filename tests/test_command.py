"""The command that repeats a run, and whether it gave what it gave before."""

import json
import subprocess
from pathlib import Path

import pytest

from rcan.command import command, other_than_committed


def commit(text: str) -> None:
    with open("params.yaml", "w") as file:
        file.write(text)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "settings"]):
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


SETTINGS = "wcl:\n  tau: 0.1\ndata:\n  root:\nvisual:\n  weights:\n    demo: none\n"


def test_the_committed_settings_are_repeated_by_repro(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commit(SETTINGS)
    assert command() == "dvc repro"


def test_what_differs_from_the_commit_is_named_and_paths_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commit(SETTINGS)
    changed = "wcl:\n  tau: 0.07\ndata:\n  root: xrays\nvisual:\n  weights: /home/me/w.pth\n"
    (tmp_path / "params.yaml").write_text(changed)
    expected = (
        "dvc exp run -S wcl.tau=0.07 -S data.root=PATH_OF_ROOT -S visual.weights=PATH_OF_WEIGHTS"
    )
    assert command() == expected


def test_without_git_it_is_repro(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(SETTINGS)
    assert command() == "dvc repro"


def test_without_settings_it_is_repro(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command() == "dvc repro"


METRICS = Path("reports/metrics.json")
LOCK = """stages:
  train: {{params: {{wcl: {{tau: {tau}}}}}, deps: [{{path: rcan/model, md5: {code}}}]}}
  evaluate: {{params: {{}}, deps: [{{path: runs/main, md5: {weights}}}]}}
"""


def results(bleu: float, **made_of: object) -> None:
    """What stage evaluate and DVC write."""
    METRICS.parent.mkdir(exist_ok=True)
    METRICS.write_text(json.dumps({"test": {"BLEU-4": bleu}}))
    Path("dvc.lock").write_text(LOCK.format(**{"tau": 0.1, "code": "a", "weights": "b"} | made_of))


def test_other_scores_of_the_same_code_settings_and_data_are_told_as_the_processors(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    results(0.5741)
    commit(SETTINGS)
    assert other_than_committed(METRICS) == ""
    results(0.5902, weights="c")
    told = other_than_committed(METRICS)
    assert "BLEU-4 0.5902 in place of 0.5741" in told and "processor" in told
    assert "git checkout dvc.lock reports" in told and "\n" not in told


@pytest.mark.parametrize("change", [{"tau": 0.07}, {"code": "z"}])
def test_what_a_change_gives_is_not_laid_to_the_processor(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results(0.5741)
    commit(SETTINGS)
    results(0.5902, weights="c", **change)
    assert other_than_committed(METRICS) == ""


def test_without_git_or_a_lock_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results(0.5)
    assert other_than_committed(METRICS) == ""
    Path("dvc.lock").unlink()
    commit(SETTINGS)
    METRICS.write_text(json.dumps({"test": {"BLEU-4": 0.6}}))
    assert other_than_committed(METRICS) == ""
