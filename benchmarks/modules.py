"""What each module of RCAN costs in a training step: the same code with and without it."""

import statistics
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import models
from benchmarks.decoding import BATCH, features
from benchmarks.measure import Result, timed
from benchmarks.training import images_of, reports
from rcan.model.contrastive import contrastive_loss
from rcan.model.rcan import joint_loss
from rcan.training.optimization import build_optimizer

KINDS = {
    "Transformer alone": (), "with RVE": ("rve",), "with CGM": ("cgm",), "with WCL": ("wcl",),
    "RCAN: all three": ("rve", "cgm", "wcl"),
}  # fmt: skip


def run(options) -> list[Result]:
    """Steps of all kinds in turns, the FLOPs they should cost, and WCL by itself."""
    steps, flops = {}, {}
    for name, on in KINDS.items():
        changes = {f"model.use_{module}": module in on for module in ("rve", "cgm", "wcl")}
        steps[name], flops[name] = _step(changes, options.device)
        steps[name]()
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(1 if options.quick else max(3, options.rounds // 2)):
        for name, step in steps.items():
            seconds[name].append(timed(step))
    plain = "Transformer alone"
    results = []
    for name in KINDS:
        if name == plain:
            results.append(Result(f"training step, {plain}", seconds[plain], "s"))
            continue
        added = statistics.median(
            a / b - 1 for a, b in zip(seconds[name], seconds[plain], strict=True)
        )
        counted = flops[name] / flops[plain] - 1
        results.append(Result(
            f"training step, {name}", seconds[name], "s", seconds[plain], plain,
            note=f"adds {added:+.1%}; its FLOPs say {counted:+.1%}",
        ))  # fmt: skip
    return [*results, _wcl_alone(options, statistics.median(seconds["RCAN: all three"]))]


def _step(changes: dict, device: str) -> tuple[Callable[[], None], int]:
    """A whole step of the paper's settings, and the FLOPs of its forward pass."""
    settings = models.settings(changes)
    model = models.our_model(changes).to(device).train()
    optimizer = build_optimizer(model, settings.train)
    images, projections = images_of(device)
    tokens, wcl = reports(device), settings.wcl
    bf16 = device == "cuda"

    def forward():
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            logits, p = model(images, projections, tokens[:, :-1])
        return joint_loss(logits, tokens[:, 1:], p, pad_id=-1, lambda_ce=wcl.lambda_ce,
                          tau=wcl.tau, denominator=wcl.denominator)["loss"]  # fmt: skip

    def step() -> None:
        forward().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.train.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        forward()
    return step, counter.get_total_flops()


def _wcl_alone(options, whole: float) -> Result:
    """Projection, labels, loss and their gradients, as a share of RCAN's step."""
    model = models.our_model().to(options.device).train()
    wcl = models.settings().wcl
    maps = features(BATCH, 0)[0].to(options.device).requires_grad_()

    def step() -> None:
        p = model.contrastive(maps.mean((3, 4)))
        contrastive_loss(p, tau=wcl.tau, denominator=wcl.denominator).backward()

    step()
    shares = [timed(step) / whole for _ in range(1 if options.quick else options.rounds)]
    what = "WCL, forwards and backwards, as a share of RCAN's step"
    return Result(what, shares, "of the step", at_most=0.03)
