"""What a training depends on, the name that follows from it, where its state lies, and why a
training starts afresh; all told without loading torch.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rcan.code import code_digest, file_of
from rcan.config import Settings
from rcan.errors import UserError
from rcan.files import digest_of, exclusive, holder_of, sha256_of, write_json
from rcan.reading import read_json, require_file

PARTS = "parts.json"
LAST, BEST = "last.safetensors", "best.safetensors"
SELECTION = "val_BLEU-4"  # the best epoch has the highest (§4.1.2)
DOING = "training this exact configuration"  # who holds a state's lock
KINDS = ("cpu", "cuda")
# Loaded by their names when they are asked for: a change of them is none of other trainings.
CURRICULUM, POLICY_GRADIENT = "rcan.training.curriculum", "rcan.training.policy_gradient"
HEADER = "rcan"  # the one entry of a file's metadata, whose order would be another each time


@dataclass
class Progress:
    """How far a training is: epochs done, one row of numbers for each, and the best of them."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] | None = None  # epoch, length_penalty and validation scores
    trained_on: list[str] = field(default_factory=list)  # kinds of processors, as they came
    before: int = 0  # the last epoch before the phase that is under way
    in_last_phase: bool = True

    def is_done(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or the last `patience` of the phase brought no better one.

        While nothing is validated there is no best one, and no end to patience; nor is there one
        before the last phase, which makes the model what its name says.
        """
        waited = self.epoch - max(self.before, int(self.best["epoch"])) if self.best else 0
        return self.epoch >= epochs or (
            patience is not None and self.in_last_phase and waited >= patience
        )


def training_code(family: str, curriculum: str = "none", reward_share: float = 0) -> str:
    """The digest of all code that shapes a training of this family of models."""
    asked = [CURRICULUM] * (curriculum != "none") + [POLICY_GRADIENT] * (reward_share > 0)
    return code_digest("rcan.training.train", *modules_of(family), *asked)


def modules_of(family: str) -> tuple[str, ...]:
    """A family's modules, which no other names: they are loaded when `model.family` asks."""
    own = (f"rcan.model.families.{family}", f"rcan.config.families.{family}")
    learns = f"rcan.data.knowledge.{family}"
    return (*own, learns) if file_of(learns) else own


def input_parts(settings: Settings, processed: Path, tokenizer: Path) -> dict[str, Any]:
    """Settings, pretrained weights, data, tokenizer, code and torch."""
    from rcan.data.store import read_summary  # loads NumPy, which a pointer needs not

    used = settings.used()
    used.pop("demo", None)  # its studies are part of the data's digest
    weights = Path(settings.visual.weights)
    return {
        "settings": used,
        "weights": sha256_of(weights) if os.path.isfile(weights) else None,
        "data": read_summary(processed)["digest"],
        "tokenizer": sha256_of(tokenizer),
        "code": training_code(
            settings.model.family, settings.curriculum.name, settings.reward.share
        ),
        "torch": version("torch"),
    }


def training_parts(
    settings: Settings, processed: Path, tokenizer: Path
) -> dict[str, dict[str, Any]]:
    """All that a training depends on: settings, data, tokenizer, code, torch, kind of device.

    By kind of device, in which alone they differ.
    """
    shared = input_parts(settings, processed, tokenizer)
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
    return _holds(run, keys_of(settings, processed, tokenizer))


def best_weights(
    settings: Settings, processed: Path, tokenizer: Path, *, root: Path, runs: Iterable[Path]
) -> Path | None:
    """The best weights of this training, from one of the folders `runs` or its finished state;
    None: it is not done."""
    keys = keys_of(settings, processed, tokenizer)
    folders = [state_folder(root, key) for key in keys if has_state(root, key)]
    folders += (run for run in runs if _holds(run, keys))
    return folders[0] / BEST if folders else None


def keys_of(settings: Settings, processed: Path, tokenizer: Path) -> list[str]:
    """The keys of this training, by kind of device that `train.accelerator` allows."""
    accelerator = settings.train.accelerator
    kinds = KINDS if accelerator == "auto" else (accelerator,)
    on = training_parts(settings, processed, tokenizer)
    return [training_key(on[kind]) for kind in kinds]


def _holds(run: Path, keys: Collection[str]) -> bool:
    try:
        best = read_json(run / "best.json", {"key": str}, "the best epoch", "leave it")
    except UserError:
        return False
    return best["key"] in keys and (run / BEST).exists()


def has_state(root: Path, key: str) -> bool:
    """Whether this training is done, with its last epoch kept as its state."""
    state = state_folder(root, key)
    kept = (state / PARTS).exists() and (state / LAST).exists()
    return kept and _stopped_at(state / LAST) is None


def _stopped_at(last: Path) -> tuple[int, dict[str, Any]] | None:
    """The last epoch of a training and its parts, flat; None if it is finished or not readable."""
    import safetensors

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
