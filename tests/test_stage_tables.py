"""The stage tables: what is there is read and written, and bad input ends it in one line."""

import shutil
import subprocess
import sys

import pytest
from cells_on_disk import project
from imports import TOP

from pipeline import tables
from rcan.config import load_settings


@pytest.fixture
def checkout(tmp_path):
    """The folders of a repository in which some cells are run."""
    made = project(tmp_path / "p", only={"main", "rve-1"})
    top = made.top
    for name in ("ablations/cells.yaml", "docs/readings.md", "dvc.yaml"):
        (top / name).parent.mkdir(exist_ok=True)
        shutil.copy(TOP / name, top / name)
    (top / "plan").rename(top / "ablations" / "plan")
    (top / "data").mkdir()
    for name in ("evaluation", "processed"):
        (top / name).rename(top / "data" / name)
    return top


def stage(top) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.tables"], cwd=top, capture_output=True, text=True,
        env={"PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        timeout=120,
    )  # fmt: skip


def test_the_stage_writes_tables_figures_and_the_page(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    synced = []
    monkeypatch.setattr(tables, "sync", lambda root, folders: synced.append(root))
    tables.main(load_settings())
    assert " runs are in reports/ablations and reports/index.html" in capsys.readouterr().out
    assert synced == [checkout]
    names = {path.name for path in (checkout / "reports" / "ablations").iterdir()}
    for table in ("table2", "table3", "table4", "table5", "fig5", "readings", "controls"):
        assert {f"{table}.md", f"{table}.csv", f"{table}.tex"} <= names
    assert {"fig3.png", "fig3.svg", "fig5.png", "fig5.svg"} <= names
    assert {"systems.svg", "systems-wide-dark.svg", "groups.svg", "groups-dark.svg"} <= names
    text = (checkout / "reports" / "ablations" / "table4.md").read_text()
    assert "`RCAN_CELLS=cgm-1 dvc repro ablations/dvc.yaml:evaluate@cgm-1`" in text
    assert str(checkout) not in (checkout / "reports" / "index.html").read_text()


def test_results_of_other_data_end_the_stage_in_one_line(checkout):
    path = checkout / "data" / "evaluation" / "rve-1" / "scores.json"
    path.write_text(path.read_text().replace('"data": "demo"', '"data": "iu_xray"'))
    done = stage(checkout)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("error: ") and "rve-1" in line and "data set" in line
    assert not (checkout / "reports").exists()
