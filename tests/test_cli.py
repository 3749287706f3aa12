"""The command `rcan`."""

import sys

import pytest

from rcan.cli import main


@pytest.fixture
def rcan(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty project: its exit code, or what it ends with, and its output."""
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)

    def run(*arguments: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr(sys, "argv", ["rcan", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    return run


def test_without_a_run_there_is_nothing_to_put_into_mlflow(rcan, tmp_path):
    assert rcan("sync") == (0, "0 run(s) in MLflow\n")
    assert {path.name for path in tmp_path.iterdir()} == {"dvc.yaml", "params.yaml"}


def test_a_damaged_run_is_one_line(rcan, tmp_path):
    (tmp_path / "runs/main").mkdir(parents=True)
    (tmp_path / "runs/main/best.json").write_text("{")
    (tmp_path / "runs/main/config.json").write_text("{")
    code, output = rcan("sync")
    assert code.startswith("error: ") and "config.json" in code and "\n" not in code
    assert output == ""


def test_help_names_the_commands(rcan):
    code, output = rcan("--help")
    assert code == 0 and "sync" in output
