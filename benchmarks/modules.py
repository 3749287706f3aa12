"""What each module of RCAN costs, in a training step and in a word: the same code without it."""

import statistics
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import models
from benchmarks.measure import Result, in_turns, timed
from benchmarks.models import BEAMS, IDS, LONGEST
from benchmarks.work import BATCH, endless_model, features, images_of, reports
from rcan.data.batches import Batch
from rcan.generation.beam_search import beam_search
from rcan.model.families.rcan.contrastive import contrastive_loss
from rcan.model.families.rcan.model import RCAN
from rcan.model.interface import Alone
from rcan.training.optimization import build_optimizer

KINDS = {
    "Transformer alone": (), "with RVE": ("rve",), "with CGM": ("cgm",), "with WCL": ("wcl",),
    "RCAN: all three": ("rve", "cgm", "wcl"),
}  # fmt: skip


def run(options) -> list[Result]:
    """CGM in writing a word, and every module in a training step."""
    return [*_words(options), *_training(options)]


def _words(options) -> list[Result]:
    """One word of all beams, with CGM and without; looking at the images is not counted."""
    kinds = [endless_model({"model.use_cgm": on}, options.device) for on in (True, False)]
    results = []
    for num_studies in (BATCH,) if options.quick else (BATCH, 64):
        ours, without = (_word_timer(model, num_studies, options.device) for model in kinds)
        ours(), without()
        seconds = in_turns(ours, without, options.rounds)
        ms = [[s * 1e3 for s in of_side] for of_side in seconds]
        added = statistics.median(a / b - 1 for a, b in zip(*ms, strict=True))
        results.append(Result(
            f"one word of {num_studies} studies, with CGM", ms[0], "ms/step", ms[1], "without CGM",
            target=1 / 1.1, note=f"CGM adds {added:.1%}",
        ))  # fmt: skip
    return results


def _word_timer(model: RCAN, num_studies: int, device: str) -> Callable[[], float]:
    """A call that gives the seconds of one word, the mean over reports of the longest length."""
    maps, projections = features(num_studies, 0, device)
    prepared = model.prepare()

    @torch.inference_mode()
    def seconds() -> float:
        state = model.start(maps, projections, BEAMS, prepared)
        return timed(lambda: beam_search(
            model.step, state, num_studies=num_studies, beam_size=BEAMS,
            max_length=model.max_length, device=maps.device, **IDS,
        )) / LONGEST  # fmt: skip

    return seconds


def _training(options) -> list[Result]:
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
    batch = Batch(*images_of(device), reports(device), pad_id=-1)
    bf16 = device == "cuda"

    def forward():
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            output = model(batch)
        return model.losses(output, batch, Alone())["loss"]

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
    wcl = model.wcl
    maps = features(BATCH, 0, options.device)[0].requires_grad_()

    def step() -> None:
        p = model.contrastive(maps.mean((3, 4)))
        contrastive_loss(p, tau=wcl.tau, denominator=wcl.denominator).backward()

    step()
    shares = [timed(step) / whole for _ in range(options.rounds)]
    what = "WCL, forwards and backwards, as a share of RCAN's step"
    return Result(what, shares, "of the step", at_most=0.03)
