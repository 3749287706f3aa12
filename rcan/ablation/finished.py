"""Finished results of cells, kept until the stages that write them take them: so many cells are
made side by side.

data/work/finished/<digest> holds what a stage would write, named by all that it is made of: a stage
that finds its own digest there copies, and loads neither torch nor Java. An empty folder says that
the stage had it. They cannot lie where the stage writes, for DVC empties its outputs first.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

from rcan.ablation.plan import evaluation_code
from rcan.config import PipelineSettings
from rcan.data.store import read_summary
from rcan.files import digest_of, exclusive, place_beside, sha256_of
from rcan.training.key import input_parts

DAYS = 30
OF_A_RUN = ("best.json", "best.safetensors", "config.json")  # what evaluation reads of it


def place(root: Path, digest: str) -> Path:
    """Where the result of this digest lies, or would."""
    return root / "data" / "work" / "finished" / digest


def of_training(settings: PipelineSettings, processed: Path, tokenizer: Path) -> str:
    """The digest of what a cell's training is made of, with its weights' path resolved."""
    return digest_of(input_parts(settings, processed, tokenizer))


def of_evaluation(
    settings: PipelineSettings, run: Path, *, processed: Path, tokenizer: Path, floors: Path
) -> str:
    """The digest of what the evaluation of the trained folder `run` is made of; `settings`: the
    cell's own."""
    return digest_of(
        {
            "run": [sha256_of(run / name) for name in OF_A_RUN],
            "settings": [settings.eval.model_dump(), settings.privacy.model_dump()],
            "data": read_summary(processed)["digest"],
            "tokenizer": sha256_of(tokenizer),
            "floors": sha256_of(floors),
            "code": evaluation_code(settings.model.family, settings.data.name),
            "packages": [version(name) for name in ("torch", "numpy", "pycocoevalcap")],
        }
    )


def is_ready(root: Path, digest: str) -> bool:
    """Whether the result is there to be taken."""
    folder = place(root, digest)
    return folder.is_dir() and any(folder.iterdir())


def was_taken(root: Path, digest: str) -> bool:
    """Whether a stage had the result, or made it itself."""
    return place(root, digest).is_dir()


def make(root: Path, digest: str, write: Callable[[Path], object]) -> bool:
    """Have `write` fill the folder, whole or not at all.

    False if it wrote none: of several processes of one training the first alone does.
    """
    folder = place(root, digest)
    beside = place_beside(folder)
    shutil.rmtree(beside, ignore_errors=True)
    write(beside)
    if not beside.is_dir():
        return False
    with _alone(root):
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    return True


def take(root: Path, digest: str, out: Path) -> bool:
    """Copy the result to `out`, whole; False if it is not there."""
    with _alone(root):
        if not is_ready(root, digest):
            return False
        beside = place_beside(out)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(place(root, digest), beside)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(beside, out)
    return True


def mark_taken(root: Path, digest: str) -> None:
    """Remove the result, which its stage has, and remember that it was made."""
    folder = place(root, digest)
    with _alone(root):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)


def forget(root: Path, digest: str) -> None:
    """Remove the result; nothing is remembered."""
    with _alone(root):
        shutil.rmtree(place(root, digest), ignore_errors=True)


def forget_old(root: Path) -> None:
    """Remove results that no stage had for a month: of settings that were given up."""
    oldest = time.time() - DAYS * 86_400
    with _alone(root):
        shutil.rmtree(place(root, "").with_name("ahead"), ignore_errors=True)  # earlier versions'
        for folder in place(root, "").glob("*/"):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _alone(root: Path) -> AbstractContextManager[None]:
    """Experiments of a queue share the folder: what one copies, none may remove meanwhile."""
    return exclusive(place(root, "lock"), "copying results of cells", wait=True)
