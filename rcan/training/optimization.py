"""The optimiser's two groups and the learning rate at every step (§4.1.2)."""

from math import cos, pi

import torch

from rcan.config import Settings, Train
from rcan.model.interface import ReportModel


def build_optimizer(model: ReportModel, train: Train) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD over the visual extractor (`lr_visual`) and the rest (`lr`)."""
    rates = {"visual": train.lr_visual, "rest": train.lr}
    groups = [
        {"params": parameters, "base_lr": rates[name]}
        for name, parameters in model.parameter_groups().items()
        if parameters
    ]
    if train.optimizer == "sgd":
        # Not fused, which fails on a parameter whose first gradient comes later than others'.
        momentum, decay = train.beta1, train.weight_decay
        return torch.optim.SGD(groups, lr=train.lr, momentum=momentum, weight_decay=decay)
    kind = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    return kind(
        groups,
        lr=train.lr,
        betas=(train.beta1, train.beta2),
        weight_decay=train.weight_decay,
        amsgrad=train.amsgrad,
        fused=True,
    )


def set_learning_rate(
    optimizer: torch.optim.Optimizer, settings: Settings, step: int, steps_per_epoch: int
) -> float:
    """Set both groups for optimiser step `step` (from 0) and return the rest's rate.

    A function of the step alone, so that a resumed training needs nothing else to go on. Epochs on
    rewards have one rate, and the schedule ends before them.
    """
    train, reward = settings.train, settings.reward
    epochs = train.epochs - settings.epochs_of(reward.share)
    of_words = step < epochs * steps_per_epoch
    factor = schedule(train, step, steps_per_epoch, epochs) if of_words else reward.lr
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    of_the_rest: float = optimizer.param_groups[-1]["lr"]
    return of_the_rest


def schedule(train: Train, step: int, steps_per_epoch: int, epochs: int | None = None) -> float:
    """What a base rate is multiplied by: linear warm-up, then × lr_decay after every epoch or
    every lr_step of them, or cosine or linear over `epochs` (all)."""
    if step < train.warmup_steps:
        return (step + 1) / train.warmup_steps
    if train.schedule in ("exponential", "step"):
        every = train.lr_step if train.schedule == "step" else 1
        return train.lr_decay ** (step // (every * steps_per_epoch))
    total = (epochs or train.epochs) * steps_per_epoch
    done = (step - train.warmup_steps) / max(1, total - train.warmup_steps)
    if train.schedule == "linear":
        return 1 - done
    lowest = 0.02
    return lowest + (1 - lowest) * 0.5 * (1 + cos(pi * done))
