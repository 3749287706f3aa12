"""A copy of the project of its own, at its smallest, to run whole stages and `dvc` in."""

import copy
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
import yaml
from java_programs import keep_demo_parts
from tiny import TOP
from warm import warm_python

STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def written(stage: str) -> list[str]:
    """The stage's outputs and metrics, without their options."""
    entries = STAGES[stage]["outs"] + STAGES[stage].get("metrics", [])
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


OUTPUTS = [out for stage in STAGES for out in written(stage)]


class Repository:
    """A copy of the project of its own, at its smallest."""

    def __init__(self, folder, changes):
        self.folder, self.python = folder, sys.executable
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True,
            text=True,
        ).stdout.split("\n")  # fmt: skip
        if "dvc.yaml" not in listed:
            pytest.skip("needs a git checkout, to know which files are the project's")
        cells = ("ablations/dvc.lock", "reports/ablations", "reports/cases", "reports/index.html")
        made = (*OUTPUTS, "dvc.lock", *cells)
        for name in filter(None, listed):
            if (TOP / name).is_file() and not name.startswith(made):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TOP / name, folder / name)
        keep_demo_parts(folder)
        self.set(changes)
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("DVC", "MLFLOW", "RCAN", "GIT_", "PYTEST", "TQDM"))
        } | {
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1", "PWD": str(folder),
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "tests"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "tests@example.org"),
            "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        }  # fmt: skip
        self.run("git", "init", "--quiet")

    def warm(self) -> "Repository":
        """Have a `python` from here on that starts at once, of which a kill kills nothing."""
        self.python = str(warm_python())
        folder = self.environment["PYTHONPATH"] = str(warm_python().parent)  # no real METEOR either
        self.environment["PATH"] = f"{folder}:{self.environment['PATH']}"
        return self

    def elsewhere(self, folder) -> "Repository":
        """The same project in another folder that is there already."""
        other = copy.copy(self)
        other.folder = folder
        other.environment = self.environment | {
            "PWD": str(folder), "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site")
        }  # fmt: skip
        return other

    def set(self, changes) -> None:
        from dvc.utils.hydra import apply_overrides

        overrides = [f"{key}={value}" for key, value in changes.items()]
        apply_overrides(self.folder / "params.yaml", overrides)

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Run a command to its end."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=900,
        )  # fmt: skip

    def start(self, *command: str) -> subprocess.Popen:
        """Start a command as a process group of its own; `printed` has what it says."""
        with (self.folder.parent / "printed").open("w") as out:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def printed(self) -> str:
        """What the command that was started last has said so far."""
        return (self.folder.parent / "printed").read_text(encoding="utf-8", errors="replace")

    def repro(self, *targets: str) -> tuple[int, list[str], str]:
        """Exit code, the stages that ran, and all that was printed."""
        done = self.run("dvc", "repro", *targets)
        lines = done.stdout.splitlines()
        ran = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
        return done.returncode, ran, done.stdout

    def locked(self, name: str) -> dict:
        """A dvc.lock; the order of stages that wait for none is DVC's."""
        found: dict = yaml.safe_load((self.folder / name).read_text(encoding="utf-8"))
        return found

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
