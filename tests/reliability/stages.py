"""A folder to run stages in, what they leave there, and what must never be left."""

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import yaml
from tiny import TINY, changed
from zygote import STAGES, Zygote

OUTPUTS = ("data/processed", "data/evaluation", "runs", "reports")
EPOCHS = 4
CHANGES = TINY | {"train.epochs": EPOCHS}
OPEN_TRACKER = """
from pathlib import Path
from rcan.tracking import open_tracker
assert open_tracker(root=Path(), data_name="demo").guard.finish(60)
"""

# Each step of a training takes a tenth of a second more.
SLOWLY = """
import time
from rcan.training import loop
set_learning_rate = loop.set_learning_rate

def slowly(*arguments):
    time.sleep(0.1)
    return set_learning_rate(*arguments)

loop.set_learning_rate = slowly
"""

# The process becomes several, each of which runs the stage in its own of `folders`, which may be
# the same one, by the settings of params-<number>.yaml if there is one.
SEVERAL = """
import os
from pathlib import Path
from pipeline import stage

load_settings, running = stage.load_settings, []

def of_the_process():
    own = Path(f"params-{{number}}.yaml")
    return load_settings(own) if own.exists() else load_settings()

for number, folder in enumerate({folders}):
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        stage.load_settings = of_the_process
        break
    running.append(pid)
else:
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in running]
    os._exit(max(map(abs, codes)))
"""


def make(folder: Path, changes: dict[str, object] | None = None) -> Path:
    """A folder with nothing but tiny settings in it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(changed(CHANGES | (changes or {})))
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    (folder / "dvc.yaml").write_text("", encoding="utf-8")  # by which the project's top is known
    return folder


def copy(source: Path, target: Path) -> Path:
    """A folder as another was; its tracker's database comes along, which takes long to make."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def results(folder: Path) -> dict[str, bytes]:
    """Every file of the stages' outputs: name -> content."""
    files = [path for name in OUTPUTS for path in folder.glob(f"{name}/**/*") if path.is_file()]
    files += folder.glob("data/*.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


def leftovers(folder: Path) -> list[str]:
    """Half files and states of work that is done."""
    kept = [*folder.rglob("*.tmp")]
    kept += folder.glob("data/work/preprocess/*")
    if (folder / "data" / "evaluation").exists():  # until then a finished training's state is kept
        kept += folder.glob(".rcan/checkpoints/*")
    return [path.relative_to(folder).as_posix() for path in kept]


def logged(folder: Path) -> dict[tuple[str, int], int]:
    """How often the tracker holds each metric of each epoch, over all runs that it has."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        rows = database.execute("SELECT key, step, COUNT(*) FROM metrics GROUP BY key, step")
        counts = {(key, step): count for key, step, count in rows}
    database.close()
    return counts


def snapshots(
    zygote: Zygote, folder: Path, stages: Sequence[str] = STAGES
) -> dict[str, tuple[Path, dict[str, bytes], int]]:
    """Run stages undisturbed: stage -> the folder before it, what was there after it, and its
    number of file operations."""
    whole, taken = make(folder / "whole"), {}
    assert zygote.run("preprocess", copy(whole, folder / "aside"), prelude=OPEN_TRACKER).code == 0
    shutil.copy(folder / "aside" / "mlflow.db", whole)
    for stage in stages:
        before = copy(whole, folder / f"before-{stage}")
        ended = zygote.run(stage, whole)
        assert ended.code == 0, ended.printed
        taken[stage] = (before, results(whole), ended.touched)
    return taken
