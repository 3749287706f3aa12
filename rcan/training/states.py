"""Where the state of a training under way lies, told without loading torch."""

import contextlib
import shutil
from pathlib import Path

from rcan.errors import UserError
from rcan.files import exclusive

LAST = "last.safetensors"
DOING = "training this exact configuration"  # who holds a state's lock


def state_folder(root: Path, key: str) -> Path:
    """The folder of the training with this key."""
    return root / ".rcan" / "checkpoints" / key


def forget_training(root: Path, key: str) -> None:
    """Remove the state of a finished training, whose run folder is safe; trained again it starts
    afresh. One that is under way again is left alone."""
    folder = state_folder(root, key)
    with contextlib.suppress(UserError, OSError):
        if folder.is_dir():
            with exclusive(folder / "lock", DOING):
                (folder / LAST).unlink(missing_ok=True)  # first: without it the rest is of none
                shutil.rmtree(folder)
