"""Which cells are not trained yet, and where each of several at once may train."""

import os
from pathlib import Path

from rcan.ablation.plan import planned_runs, planned_settings, same_as
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.training.key import is_trained, training_parts
from rcan.training.train import kind_of_device


def untrained(
    settings: PipelineSettings, *, root: Path, runs: Path, processed: Path, tokenizer: Path
) -> list[str]:
    """The planned runs that neither a folder in `runs` nor a finished state has, in order."""
    missing = []
    for name in planned_runs():
        if same_as(name) == name:
            own = planned_settings(name, settings).with_weights_under(root)
            parts = training_parts(own, processed, tokenizer, kind_of_device(own))
            if not is_trained(root, runs / name, parts):
                missing.append(name)
    return missing


def places(settings: PipelineSettings) -> list[dict[str, str]]:
    """What the environment tells each process of those that train at once.

    One a GPU, each its own, or one a CPU core; RCAN_JOBS asks for another number.
    """
    import torch

    on_gpu = kind_of_device(settings) == "cuda"
    most = torch.cuda.device_count() if on_gpu else len(os.sched_getaffinity(0))
    asked = os.environ.get("RCAN_JOBS", str(most))
    if not asked.isdecimal() or not 1 <= int(asked) <= 1000:
        raise UserError(f"RCAN_JOBS is {asked!r}; expected how many cells to train at once, e.g. 2")
    if not on_gpu:
        return [{} for _ in range(int(asked))]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(most)))
    gpus = visible.split(",")
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(int(asked))]
