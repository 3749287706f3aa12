"""What several test files need."""

import os
import sys
from pathlib import Path

import pytest

# Where work goes, and whether `--quiet` was asked for. MLflow sets the first two, rcan the last.
OF_THE_PROCESS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DVC_ROOT", "TQDM_DISABLE")


def pytest_addoption(parser):
    parser.addoption(
        "--torture", action="store_true", help="the long versions of tests/reliability"
    )
    parser.addoption(
        "--figures",
        type=lambda name: Path(name).resolve(),
        help="folder for what tests/reliability counts, a file a test",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Before fixtures of any scope: no test writes where the user or another test has its runs."""
    for name in OF_THE_PROCESS:
        os.environ.pop(name, None)


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `rcan` in this process: its exit code, or what it ends with, and what it prints."""
    from rcan.cli import main

    def run(*arguments: object) -> tuple[int | str | None, str]:
        monkeypatch.setattr(sys, "argv", ["rcan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def empty_project(tmp_path, monkeypatch):
    """A project of empty files, which is the current folder."""
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real reports, images and golden scores beside the checkout; without them the test skips."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data" / "iu_xray").is_dir():
        pytest.skip("needs the real IU X-ray data beside the checkout")
    return folder


def pytest_collection_modifyitems(items):
    """The long ones first: the other processes are through with the rest meanwhile."""
    for item in items:
        used = {*vars(item.module), *item.fixturenames, *item.keywords}
        if used & {"torch", "train_tiny", "make_project", "Repository", "zygote", "slow"}:
            item.add_marker("computes")
    items.sort(key=lambda item: "slow" not in item.keywords)
