"""Which cells are not trained or scored yet, and where each of several at once may be."""

import os
from collections.abc import Iterator
from pathlib import Path

from rcan.ablation import ahead
from rcan.ablation.plan import planned_runs, planned_settings, same_as
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.training.key import has_run, has_state, kept_parts, training_key
from rcan.training.train import kind_of_device


def untrained(
    settings: PipelineSettings, *, root: Path, runs: Path, processed: Path, tokenizer: Path
) -> list[str]:
    """The planned runs of which there is neither a folder nor a finished state, in order."""
    inputs = {"root": root, "processed": processed, "tokenizer": tokenizer}
    missing = []
    for name, own in _to_train(settings, root):
        if trained_folder(own, run=runs / name, **inputs) is None:
            parts = kept_parts(own, processed, tokenizer, device=kind_of_device(own), root=root)
            if not has_state(root, training_key(parts)):
                missing.append(name)
    return missing


def unfinished(
    settings: PipelineSettings, *,
    root: Path, runs: Path, evaluations: Path, processed: Path, tokenizer: Path, floors: Path,
    stage: Path,
) -> list[str]:  # fmt: skip
    """The planned runs that are not both trained and scored, in order."""
    inputs = {"processed": processed, "tokenizer": tokenizer}
    missing = []
    for name, own in _to_train(settings, root):
        folder = trained_folder(own, root=root, run=runs / name, **inputs)
        if folder is None:
            missing.append(name)
            continue
        digest = ahead.of_evaluation(settings, folder, floors=floors, stage=stage, **inputs)
        has_scores = (evaluations / name / "scores.json").exists()
        if not ahead.is_ready(root, digest) and not (has_scores and ahead.was_taken(root, digest)):
            missing.append(name)
    return missing


def trained_folder(
    settings: PipelineSettings, *, root: Path, run: Path, processed: Path, tokenizer: Path
) -> Path | None:
    """The folder that holds the training of these settings, their weights' path resolved: `run`,
    or one made ahead; None if neither does."""
    made_ahead = ahead.place(root, ahead.of_training(settings, processed, tokenizer))
    folders = (run, made_ahead)
    return next((f for f in folders if has_run(f, settings, processed, tokenizer)), None)


def _to_train(settings: PipelineSettings, root: Path) -> Iterator[tuple[str, PipelineSettings]]:
    """The planned runs that are no pointers, with their settings."""
    for name in planned_runs():
        if same_as(name) == name:
            yield name, planned_settings(name, settings).with_weights_under(root)


def places(settings: PipelineSettings) -> list[dict[str, str]]:
    """What the environment tells each process of those that train at once.

    One a GPU, each its own, or as many as the CPU has cores for, each with `train.threads` of them;
    RCAN_JOBS asks for another number.
    """
    import torch

    on_gpu, cores = kind_of_device(settings) == "cuda", len(os.sched_getaffinity(0))
    on_cpu = max(1, cores // (settings.train.threads or cores))
    most = torch.cuda.device_count() if on_gpu else on_cpu
    asked = os.environ.get("RCAN_JOBS", str(most))
    if not asked.isdecimal() or not 1 <= int(asked) <= 1000:
        raise UserError(f"RCAN_JOBS is {asked!r}; expected how many cells to train at once, e.g. 2")
    if not on_gpu:
        if settings.train.threads is None and int(asked) > 1:
            raise UserError(
                f"RCAN_JOBS is {asked}, but train.threads is empty, so each of them would take all "
                "cores: set train.threads too, e.g. to 1"
            )
        return [{} for _ in range(int(asked))]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(most)))
    gpus = visible.split(",")
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(int(asked))]
