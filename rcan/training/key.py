"""What a training depends on, the name that follows from it, and why a training starts afresh."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from rcan.config import Settings
from rcan.errors import UserError
from rcan.files import digest_of, holder_of, write_json
from rcan.reading import read_json, require_file
from rcan.training.checkpoint import HEADER, Progress
from rcan.training.parts import input_parts
from rcan.training.states import LAST, state_folder

PARTS = "parts.json"
KINDS = ("cpu", "cuda")


def training_parts(
    settings: Settings, processed: Path, tokenizer: Path
) -> dict[str, dict[str, Any]]:
    """All that a training depends on: settings, data, tokenizer, code, torch, kind of device.

    By kind of device, in which alone they differ.
    """
    shared = {**input_parts(settings, processed, tokenizer), "torch": torch.__version__}
    return {kind: {**shared, "device": kind} for kind in KINDS}


def training_key(parts: Mapping[str, Any]) -> str:
    """32 hex digits that name a training."""
    return digest_of(parts)


def kept_parts(
    settings: Settings, processed: Path, tokenizer: Path, *, device: str, root: Path
) -> dict[str, Any]:
    """The parts of this training as `root` keeps it: done on the other kind of device, where
    `train.accelerator` leaves open which, and not on `device`; otherwise those on `device`.

    So a machine without a GPU takes what the GPUs of a cluster trained.
    """
    on = training_parts(settings, processed, tokenizer)
    others = [kind for kind in KINDS if kind != device and settings.train.accelerator == "auto"]
    done = [kind for kind in (device, *others) if has_state(root, training_key(on[kind]))]
    return on[done[0] if done else device]


def why_afresh(folder: Path, parts: Mapping[str, Any]) -> str | None:
    """Why the latest stopped training beside `folder` is not gone on with; None if there is none,
    or if `folder` has a state of its own to go on from.

    Leaves `parts` in `folder`, to be compared with later ones.
    """
    told = None
    states = [] if (folder / LAST).exists() else [*folder.parent.glob(f"*/{LAST}")]
    for last in sorted(states, key=lambda path: path.stat().st_mtime, reverse=True):
        stopped = _stopped_at(last)
        if stopped and holder_of(last.with_name("lock")) is None:
            epoch, theirs = stopped
            differs = [n for n, part in _flat(parts).items() if theirs.get(n) != part]
            told = (
                f"starting afresh: a training stopped after epoch {epoch} had other "
                f"{', '.join(sorted(differs))}; its state is kept in {last.parent}, delete it if "
                "you do not go back to it"
            )
            break
    write_json(folder / PARTS, parts)
    return told


def has_run(run: Path, settings: Settings, processed: Path, tokenizer: Path) -> bool:
    """Whether the folder `run` holds this training, weights and all, on any kind of device that
    `train.accelerator` allows."""
    try:
        best = read_json(run / "best.json", {"key": str}, "the best epoch", "leave it")
    except UserError:
        return False
    accelerator = settings.train.accelerator
    kinds = KINDS if accelerator == "auto" else (accelerator,)
    on = training_parts(settings, processed, tokenizer)
    keys = {training_key(on[kind]) for kind in kinds}
    return best["key"] in keys and (run / "best.safetensors").exists()


def has_state(root: Path, key: str) -> bool:
    """Whether this training is done, with its last epoch kept as its state."""
    state = state_folder(root, key)
    kept = (state / PARTS).exists() and (state / LAST).exists()
    return kept and _stopped_at(state / LAST) is None


def _stopped_at(last: Path) -> tuple[int, dict[str, Any]] | None:
    """The last epoch of a training and its parts, flat; None if it is finished or not readable."""
    try:
        parts = read_json(last.with_name(PARTS), dict, "parts", "leave it")
        require_file(last)
        with safetensors.safe_open(last, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()[HEADER])["facts"]["progress"])
        train = parts["settings"]["train"]
        done = progress.is_done(train["epochs"], train["patience"])
        return None if done else (progress.epoch, _flat(parts))
    except (OSError, safetensors.SafetensorError, ValueError, LookupError, TypeError,
            AttributeError, RecursionError):  # fmt: skip
        return None  # of an older version, or damaged


def _flat(parts: Mapping[str, Any]) -> dict[str, Any]:
    settings = {
        f"{section}.{key}" if isinstance(value, Mapping) else section: inner
        for section, value in parts["settings"].items()
        for key, inner in (value.items() if isinstance(value, Mapping) else [("", value)])
    }
    return {**{name: value for name, value in parts.items() if name != "settings"}, **settings}
