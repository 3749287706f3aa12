"""`dvc repro` on a copy of the project: from raw data to tables, and then only what is needed."""

import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
import yaml
from tiny import TINY, TOP

STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def written(stage: str) -> list[str]:
    """The stage's outputs and metrics, without their options."""
    entries = STAGES[stage]["outs"] + STAGES[stage].get("metrics", [])
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


OUTPUTS = [out for stage in STAGES for out in written(stage)]


class Repository:
    """A copy of the project of its own, at its smallest."""

    def __init__(self, folder, changes):
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True,
            text=True,
        ).stdout.split("\n")  # fmt: skip
        if "dvc.yaml" not in listed:
            pytest.skip("needs a git checkout, to know which files are the project's")
        for name in filter(None, listed):
            if (TOP / name).is_file() and not name.startswith((*OUTPUTS, "dvc.lock")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TOP / name, folder / name)
        self.set(changes)
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("DVC", "MLFLOW", "RCAN", "GIT_", "PYTEST"))
        } | {
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1", "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        }  # fmt: skip
        self._run("git", "init", "--quiet")

    def set(self, changes) -> None:
        from dvc.utils.hydra import apply_overrides

        overrides = [f"{key}={value}" for key, value in changes.items()]
        apply_overrides(self.folder / "params.yaml", overrides)

    def _run(self, *command):
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip

    def repro(self) -> tuple[int, list[str], str]:
        """Exit code, the stages that ran, and all that was printed."""
        done = self._run(sys.executable, "-m", "dvc", "repro")
        lines = done.stdout.splitlines()
        ran = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
        return done.returncode, ran, done.stdout

    def runs(self) -> dict[str, float]:
        """MLflow's runs: name -> test BLEU-4."""
        with sqlite3.connect(self.folder / "mlflow.db") as database:
            rows = database.execute(
                "SELECT name, value FROM runs LEFT JOIN metrics "
                "ON metrics.run_uuid = runs.run_uuid AND metrics.key = 'BLEU-4'"
            ).fetchall()
        database.close()
        assert len(rows) == len(dict(rows))
        return dict(rows)


@pytest.mark.slow
def test_repro_goes_from_raw_data_to_tables_and_then_runs_only_what_a_change_needs(tmp_path):
    counts = {"demo.num_train": 24, "demo.num_val": 8, "demo.num_test": 8, "train.epochs": 1}
    project = Repository(tmp_path, TINY | counts)

    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == list(STAGES)
    for out in OUTPUTS:
        assert (tmp_path / out).exists(), out
    assert set(project.runs()) == {"RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1"}
    assert None not in project.runs().values()

    assert project.repro()[:2] == (0, [])

    project.set({"data.fit": "round"})
    code, ran, output = project.repro()
    assert (code != 0, ran) == (True, ["preprocess"])
    assert [line for line in output.splitlines() if line.startswith("error:")] == [
        "error: params.yaml: data.fit is 'round'; it must be squash, crop or pad"
    ]
    assert "Traceback" not in output

    project.set({"data.fit": "squash", "wcl.tau": 0.2})
    code, ran, output = project.repro()
    assert code == 0, output
    assert ran == ["train", "evaluate", "report"]
    assert set(project.runs()) == {
        "RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1", "RVE+CGM+WCL tau=0.2 lambda=0.7 seed=1",
    }  # fmt: skip
    assert None not in project.runs().values()
    assert list((tmp_path / ".rcan" / "checkpoints").iterdir()) == []
