"""The training loop (§4.1.2). It knows no tracker, no tokenizer and no data set.

One epoch: seed, train on every study once, or as a curriculum says, validate by generating (but
not in pre-training, whose tasks are others), keep the state. What an epoch does follows from
(seed, epoch) and the weights, so a killed training goes on, on a CPU to the same bits.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NoReturn, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from rcan.config import Settings, Train
from rcan.data.batches import Batch, StudyBatches
from rcan.errors import UserError
from rcan.model.interface import Alone, Phase, ReportModel, Together
from rcan.training.checkpoint import TrainingState
from rcan.training.devices import Processes, processor, seed_epoch, share_batch_statistics
from rcan.training.key import SELECTION, Progress
from rcan.training.optimization import build_optimizer, set_learning_rate

Validate = Callable[
    [ReportModel], dict[str, float]
]  # -> length_penalty and val_* of the best penalty
Objective = Callable[[nn.Module, Batch], dict[str, Tensor]]  # of Fabric's wrapped model
Rewarded = Callable[[nn.Module, Batch, Together], dict[str, Tensor]]  # of the epochs on rewards
Log = Callable[[int, dict[str, float]], None]  # epoch, numbers
# The wrapped model as it is, epoch -> its batches, as many as there are without; None: the same.
Lessons = Callable[[nn.Module, int], Iterator[Batch] | None]


def fit(
    model: ReportModel, batches: StudyBatches, *, settings: Settings, fabric: Fabric,
    state: TrainingState, validate: Validate, floor: float, log: Log,
    lessons: Lessons | None = None, rewarded: Rewarded | None = None,
) -> Progress:  # fmt: skip
    """Train to the last epoch, or until patience ends in the last phase, from where `state` is.

    `floor`: validation BLEU-4 of one constant report, printed beside the model's. `lessons`: a
    curriculum's; None: every epoch is a pass over all studies. `rewarded`: the losses of epochs on
    rewards, if there are any.
    Each row of the progress' history holds epoch, the model's losses (`loss`, `loss_ce`, ...), lr,
    and, but in pre-training, what `validate` gave; `log` gets the same and images_per_second.
    Raises `UserError` if the loss stops being a number.
    """
    train = settings.train
    optimizer = build_optimizer(model, train)
    progress = state.load(model, optimizer)
    if progress.epoch:
        fabric.print(f"resuming after epoch {progress.epoch} of {train.epochs}")
    if fabric.world_size > 1:
        share_batch_statistics(model)
    wrapped, optimizer = fabric.setup(model, optimizer)
    together = Processes(fabric) if fabric.world_size > 1 else Alone()
    while not progress.is_done(train.epochs, train.patience):
        epoch = progress.epoch + 1
        seed_epoch(train.seed, epoch, fabric.global_rank)
        model.phase = phase_of(settings, epoch)
        if phase_of(settings, epoch - 1) != model.phase:
            progress.before = epoch - 1
        progress.in_last_phase = model.phase == phase_of(settings, train.epochs)
        numbers = train_epoch(
            wrapped, optimizer, batches, epoch, settings=settings, fabric=fabric,
            objective=objective_of(model, together, rewarded), lessons=lessons,
        )  # fmt: skip
        speed = numbers.pop("images_per_second")
        if fabric.is_global_zero and model.phase != "pretrain":
            model.eval()
            numbers |= validate(model)
        numbers = fabric.broadcast(numbers)
        is_best = SELECTION in numbers and (
            progress.best is None
            or train.choose == "last"
            or _rank(numbers, train) > _rank(progress.best, train)
        )
        progress.epoch = epoch
        if (here := processor(fabric.device)) not in progress.trained_on:
            progress.trained_on.append(here)
        progress.history.append({"epoch": epoch, **numbers})
        if is_best:
            progress.best = progress.history[-1]
        if fabric.is_global_zero:
            state.save(model, optimizer, progress, is_best)
            log(epoch, {**numbers, "images_per_second": speed})
            print(_epoch_line(epoch, train.epochs, numbers, speed, floor), flush=True)
        fabric.barrier()
    return progress


def _rank(numbers: dict[str, float], train: Train) -> tuple[bool, float]:
    """What the best epoch has most of: validation BLEU-4, first among epochs without collapse."""
    varied = train.choose == "best" or not numbers["val_collapsed"]
    return varied, numbers[SELECTION]


def phase_of(settings: Settings, epoch: int) -> Phase:
    """What an epoch (from 1) trains on."""
    if epoch <= settings.epochs_of(settings.family.pretrain_share):
        return "pretrain"
    rewarded = settings.epochs_of(settings.reward.share)
    return "words" if epoch <= settings.train.epochs - rewarded else "reward"


def objective_of(
    model: ReportModel, together: Together, rewarded: Rewarded | None = None
) -> Objective:
    """The losses of a batch, read by the model as Fabric wraps it, which hides its `losses`."""
    if model.phase == "reward":
        assert rewarded, "no reward is given"
        return lambda wrapped, batch: rewarded(wrapped, batch, together)
    return lambda wrapped, batch: model.losses(wrapped(batch), batch, together)


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: StudyBatches, epoch: int, *,
    settings: Settings, fabric: Fabric, objective: Objective, lessons: Lessons | None = None,
) -> dict[str, float]:  # fmt: skip
    """One pass over the training studies, or as many batches of a curriculum; the mean of each loss
    over steps, and the speed.

    `model`: wrapped by Fabric.

    Raises:
        UserError: a loss is not finite.
    """
    train = settings.train
    model.train()
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=fabric.device))
    first_step = (epoch - 1) * batches.num_batches
    num_images, started = len(batches) * settings.data.num_views, time.perf_counter()
    with _progress_bar(num_images, f"epoch {epoch}/{train.epochs}", fabric) as bar:
        chosen = lessons(model, epoch) if lessons else None
        shuffled = batches.shuffled(
            seed=train.seed, epoch=epoch, length_buckets=train.length_buckets,
            rank=fabric.global_rank, world_size=fabric.world_size,
        )  # fmt: skip
        for step, batch in enumerate(chosen or shuffled):
            batch = batch.to(fabric.device)
            lr = set_learning_rate(optimizer, settings, first_step + step, batches.num_batches)
            losses = objective(model, batch)
            fabric.backward(losses["loss"])
            if train.clip_value is not None:
                fabric.clip_gradients(model, optimizer, clip_val=train.clip_value)
            if train.clip_norm is not None:
                fabric.clip_gradients(
                    model, optimizer, max_norm=train.clip_norm, error_if_nonfinite=False
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)  # their memory is there for the next forward pass
            for name, value in losses.items():
                sums[name] += value.detach()
            if step % 20 == 0 and not bar.disable:
                shown = {k: f"{float(v) / (step + 1):.3f}" for k, v in sums.items()}
                bar.set_postfix({**shown, "lr": f"{lr:.1e}"}, refresh=False)
            bar.update(batch.projections.numel() * fabric.world_size)
    seconds = time.perf_counter() - started
    means = {
        name: float(cast(Tensor, fabric.all_reduce(total / (step + 1))))  # a tensor stays one
        for name, total in sums.items()
    }
    if not all(map(math.isfinite, means.values())):
        raise UserError(
            f"the loss is {means['loss']} in epoch {epoch}: lower train.lr and train.lr_visual, or "
            "set train.clip_norm; the state after the epoch before it is kept"
        )
    return {**means, "lr": lr, "images_per_second": num_images / seconds}


def _progress_bar(total: int, name: str, fabric: Fabric) -> tqdm[NoReturn]:
    """A bar of images on the first process, where there is a terminal to draw it on."""
    silent = None if fabric.is_global_zero else True
    return tqdm(total=total, desc=name, unit="image", disable=silent, leave=False)


def _epoch_line(
    epoch: int, epochs: int, numbers: dict[str, float], speed: float, floor: float
) -> str:
    """One line an epoch, for terminals and log files alike."""
    parts = [f"epoch {epoch}/{epochs}"]
    parts += [f"{name} {numbers[name]:.3f}" for name in numbers if name.startswith("loss")]
    if SELECTION in numbers:
        parts.append(f"val BLEU-4 {numbers[SELECTION]:.3f} (floor {floor:.3f})")
        parts.append(f"{numbers['val_distinct_reports']:.0f} different reports")
    parts.append(f"lr {numbers['lr']:.1e}")
    return "  ".join([*parts, f"{speed:.0f} images/s"])
