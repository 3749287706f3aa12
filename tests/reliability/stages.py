"""A folder to run stages in, what they leave there, and what must never be left."""

import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from java_programs import keep_demo_parts
from tiny import TINY, changed
from zygote import STAGES, Ended, Zygote

OUTPUTS = ("data/processed", "data/evaluation", "runs", "reports")
EPOCHS = 4
CHANGES = TINY | {"train.epochs": EPOCHS}
OPEN_TRACKER = """
from pathlib import Path
from rcan.tracking import open_tracker
assert open_tracker(root=Path(), data_name="demo").guard.finish(60)
"""

BEFORE = """
import importlib, os, signal, subprocess, time
module = importlib.import_module("{module}")
function, calls = module.{name}, 0

def counted(*arguments, **settings):
    global calls
    calls += 1
    if {when}:
        {what}
    return function(*arguments, **settings)

module.{name} = counted
"""


def before(function: str, what: str, when: object = True) -> str:
    """A prelude that does something before a function runs, e.g. `when` it has so many `calls`."""
    module, _, name = function.rpartition(".")
    return BEFORE.format(module=module, name=name, what=what, when=when)


SLOWLY = before("rcan.training.loop.set_learning_rate", "time.sleep(0.1)")  # each step

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
    keep_demo_parts(folder)
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


@dataclass
class Scene:
    """A stage to be disturbed in `folder`, which is as `start`, before it; `after` it are its
    results where nothing disturbs its file operations, as `snapshots` gives them."""

    process: Zygote
    stage: str
    start: Path
    after: dict[str, bytes]
    operations: int
    folder: Path
    spare: int | None = None  # bytes, on a disk of its own

    def __post_init__(self) -> None:
        if self.spare is None:
            copy(self.start, self.folder)
        else:
            self.process.disk(self.folder, self.start, self.spare)

    def run(self, **how: object) -> Ended:
        return self.process.run(self.stage, self.folder, **how)

    def require_whole(self, but: str | None = None) -> None:
        """Each result is the old or the new one, except those with `but` in their names."""
        start = results(self.start)
        for name, content in results(self.process.seen(self.folder)).items():
            if but is None or but not in name:
                assert content in (start.get(name), self.after.get(name)), name

    def require_goes_on(self) -> Ended:
        """Started again, it ends in the bytes of an undisturbed run and leaves nothing besides."""
        again, folder = self.run(), self.process.seen(self.folder)
        assert again.code == 0, again.printed
        assert results(folder) == self.after
        assert leftovers(folder) == []
        return again


def wait_for(text: str, path: Path, seconds: float = 60) -> None:
    """Until a file holds a text."""
    end = time.monotonic() + seconds
    while text not in (path.read_text(encoding="utf-8") if path.exists() else ""):
        assert time.monotonic() < end, f"{text!r} was not printed"
        time.sleep(0.01)
