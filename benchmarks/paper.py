"""The paper's own training on IU X-ray, its size and settings, on random images: absolute times.

For a GPU. One epoch is timed after one to warm up, then validation and test are written, and what
remains is profiled.
"""

import numpy as np
import torch

from benchmarks import models
from benchmarks.measure import Result, timed
from rcan.data.batches import StudyBatches
from rcan.generation.generate import generate
from rcan.model.interface import Alone
from rcan.training.devices import launch
from rcan.training.loop import objective_of, train_epoch
from rcan.training.optimization import build_optimizer

SPLITS = {"train": 2069, "val": 296, "test": 590}  # of R2Gen's IU X-ray
QUICK = {"train": 2, "val": 1, "test": 1}
WORDS = 32  # of a report, on average


def run(options) -> list[Result]:
    """100 epochs without and with validation, 590 reports, and a profile in `profile.txt`."""
    settings = models.settings()
    fabric = launch(settings, 1)
    sizes = QUICK if options.quick else SPLITS
    model = models.our_model()
    batches = {
        name: _batches(size, settings, settings.train.batch_size if name == "train" else size)
        for name, size in sizes.items()
    }
    model.to(fabric.device)
    wrapped, optimizer = fabric.setup(model, build_optimizer(model, settings.train))

    def epoch() -> None:
        train_epoch(
            wrapped, optimizer, batches["train"], 1, settings=settings, fabric=fabric,
            objective=objective_of(model, Alone()),
        )  # fmt: skip

    def write(split: str) -> None:
        on_device = (batch.to(model.device) for batch in batches[split].in_order())
        generate(
            model.eval(), ((b.images, b.projections) for b in on_device),
            beam_size=models.BEAMS, length_penalties=(0.0,), **models.IDS,
        )  # fmt: skip

    epoch(), write("val")
    of_epoch = [timed(epoch) for _ in range(1 if options.quick else 3)]
    of_val, of_test = (timed(lambda split=split: write(split)) for split in ("val", "test"))
    _profile(options.out / "profile.txt", epoch)
    epochs = settings.train.epochs
    note = f"from {len(of_epoch)} epochs of {sizes['train']:,} studies"
    return [
        Result(f"{epochs} epochs of the paper's training", [s * epochs for s in of_epoch], "s",
               at_most=180, note=note),
        Result("the same, reports for validation written every epoch",
               [(s + of_val) * epochs for s in of_epoch], "s", at_most=360,
               note="untrained, so most reports run to 60 words"),
        Result(f"{sizes['test']} test reports from images", [of_test], "s"),
        Result("peak device memory", [_peak_mb()], "MB"),
    ]  # fmt: skip


def _batches(num_studies: int, settings, batch_size: int) -> StudyBatches:
    """Random images and reports."""
    rng = np.random.default_rng(0)
    side = settings.data.image_size
    images = rng.integers(0, 256, (2 * num_studies, side, side), dtype=np.uint8)
    lengths = np.clip(rng.poisson(WORDS, num_studies), 1, models.LONGEST)
    tokens = [[0, *rng.integers(1, models.VOCABULARY, length), 0] for length in lengths]
    return StudyBatches(
        images, np.arange(2 * num_studies).reshape(-1, 2), np.zeros((num_studies, 2), np.int64),
        tokens, window=settings.visual.crop, pad_id=0,
        batch_size=batch_size,
    )  # fmt: skip


def _profile(path, call) -> None:
    from torch.profiler import ProfilerActivity, profile

    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiled:
        call()
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(profiled.key_averages().table(sort_by=key, row_limit=40), encoding="utf-8")


def _peak_mb() -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
