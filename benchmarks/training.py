"""A training step against the peers' own code: the same weights, batch and optimiser, fp32.

Each side runs in a process of its own, so that its peak memory is its own; they take turns.
Ours gives both images of a study to the CNN in one pass, so that batch norm sees 16 images together
where theirs sees 8 and 8: not the same training, but the same work.
"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import models, peers
from benchmarks.measure import Result, in_turns, peak_rss_mb, timed
from benchmarks.models import VOCABULARY
from benchmarks.work import BATCH, as_patches, features, images_of, normalised, reports
from rcan.data.batches import Batch
from rcan.model.interface import Alone, cross_entropy
from rcan.training.devices import cpu_has_bf16
from rcan.training.optimization import build_optimizer

PEAK_STEPS = 4  # before peak memory is read: the allocator settles


# Of a whole step, its memory and a step on kept features: the least ratios wanted.
TARGETS = {"R2GenCMN": (2.5, 2.0, 6), "R2Gen": (2, None, 2)}


def run(options) -> list[Result]:
    """The whole step, its memory, the step on kept features, and the agreement of both sides."""
    there = peers.peers_of(options)
    if not there:
        print("a training step is measured against peers: name checkouts by --r2gencmn, --r2gen")
    return [one for name, checkout in there.items() for one in _against(name, checkout, options)]


def _against(peer: str, checkout: Path, options) -> list[Result]:
    rounds, device, results = options.rounds, options.device, []
    if device == "cpu":
        results += [_agreement(peer, checkout)]
    of_whole, of_memory, of_frozen = TARGETS[peer]
    whole = {"frozen": False, "device": device}
    with (
        Side(our_step, peer=peer, changes=models.ITS_OPTIMIZER, **whole) as us,
        Side(_their_step, checkout=checkout, **whole) as them,
    ):
        ours, theirs = _in_turns(us, them, rounds, warm_up=1 if options.quick else PEAK_STEPS)
        what = "training step, ResNet-101 at 224"
        results.append(Result(what, ours, "s", theirs, peer, target=of_whole))
        for what, target in (("peak memory of that step", of_memory),
                             ("of that, above the start", None)):  # fmt: skip
            above = what.startswith("of that")
            peaks = [us.peak_mb(above)], [them.peak_mb(above)]
            results.append(Result(what, peaks[0], "MB", peaks[1], peer, target=target))
        if device == "cpu" and not cpu_has_bf16():
            print("this processor has no bfloat16: the row of bf16-mixed is left out")
        elif device == "cpu":
            bf16 = {**models.ITS_OPTIMIZER, "train.precision": "bf16-mixed"}
            with Side(our_step, peer=peer, changes=bf16, **whole) as us:
                ours, theirs = _in_turns(us, them, min(rounds, 3), warm_up=1)
            what, note = "the same, ours with train.precision: bf16-mixed", "other rounding"
            results.append(Result(what, ours, "s", theirs, peer, note=f"{note}, so other bits"))
    frozen = {"frozen": True, "device": device}
    with (
        Side(our_step, peer=peer, changes=models.ITS_OPTIMIZER, **frozen) as us,
        Side(_their_step, checkout=checkout, **frozen) as them,
    ):
        ours, theirs = _in_turns(us, them, rounds, warm_up=1)
        what = "training step, kept features"
        results.append(Result(what, ours, "s", theirs, peer, target=of_frozen))
        peaks = [us.peak_mb(True)], [them.peak_mb(True)]
        what = "peak memory of that, above the start"
        results.append(Result(what, peaks[0], "MB", peaks[1], peer))
    return results


class Side:
    """A process that takes a training step whenever it is asked to."""

    def __init__(self, build: Callable[..., Callable[[], object]], **options: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, options), daemon=True)

    def __enter__(self) -> "Side":
        self._process.start()
        self._at_start = self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def seconds(self) -> float:
        """Of one step."""
        self._pipe.send("step")
        return self._pipe.recv()

    def peak_mb(self, above_start: bool = False) -> float:
        """Peak resident memory so far, of a GPU its own; less what the model took, if asked."""
        self._pipe.send("peak")
        return self._pipe.recv() - (self._at_start if above_start else 0.0)


def _in_turns(us: Side, them: Side, rounds: int, warm_up: int) -> tuple[list[float], list[float]]:
    for _ in range(warm_up):
        us.seconds(), them.seconds()
    return in_turns(us.seconds, them.seconds, rounds)


def _serve(pipe, build: Callable, options: dict) -> None:
    step = build(**options)
    pipe.send(_peak_mb())
    while True:
        pipe.send(timed(step) if pipe.recv() == "step" else _peak_mb())


def _peak_mb() -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else peak_rss_mb()


def our_step(
    changes: dict, frozen: bool, device: str, num_studies: int = BATCH, peer: str = "R2GenCMN"
) -> Callable[[], object]:
    """A step as the training loop takes it, of our model of a peer's modules."""
    like = {**models.PEERS[peer], "visual.frozen": frozen}
    settings = models.settings({**like, **changes})
    model = models.our_model(like).to(device).train()
    optimizer = build_optimizer(model, settings.train)
    tokens = reports(device, num_studies)
    seen, projections = images_of(device, num_studies)
    if frozen:
        seen = features(num_studies, 0)[0].half().to(device)  # as they are kept
    batch = Batch(seen, projections, tokens, pad_id=-1)
    bf16 = settings.train.precision == "bf16-mixed" or device == "cuda"

    def step() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            output = model(batch)
        model.losses(output, batch, Alone())["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _their_step(checkout: Path, frozen: bool, device: str) -> Callable[[], object]:
    peer = peers.load_peer(checkout, VOCABULARY).to(device).train()
    peer.visual_extractor.requires_grad_(not frozen)
    optimizer = peers.optimizer(peer)
    tokens = reports(device)
    if frozen:
        pooled, patches = (x.to(device) for x in as_patches(features(BATCH, 0)[0]))
    else:
        images = images_of(device)[0].unsqueeze(2).expand(-1, -1, 3, -1, -1) / 255

    def step() -> None:
        seen = (pooled, patches) if frozen else peers.encode(peer, images)
        loss = peers.loss(peer, *seen, tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _agreement(name: str, checkout: Path) -> Result:
    """Loss and gradients of both in float64, without dropout and with batch norm's kept statistics.

    In float32 an untrained ResNet-101 turns rounding into differences of a hundredth.
    """
    peer = peers.load_peer(checkout, VOCABULARY).eval().double()
    ours = models.our_model({**models.PEERS[name], **models.TO_THE_LETTER.get(name, {})}).double()
    models.take_weights(ours, peer)
    its_positions = peer.state_dict()["encoder_decoder.model.tgt_embed.1.pe"][0]
    ours.positions.copy_(its_positions[: len(ours.positions)])  # ours differ in the sixth digit
    images, projections = images_of("cpu", num_studies=2)
    tokens = reports(num_studies=2)
    theirs_see = normalised(images.double(), ours)
    maps = ours.visual.cnn.body(theirs_see.flatten(0, 1)).unflatten(0, images.shape[:2])
    batch = Batch(maps, projections, tokens, pad_id=-1)
    our_loss = cross_entropy(ours(batch), batch, Alone())
    our_loss.backward()
    their_loss = peers.loss(peer, *peers.encode(peer, theirs_see), tokens)
    their_loss.backward()
    theirs = dict(peer.named_parameters())
    both = [
        (
            ours.get_parameter(same.own).grad[same.rows],
            theirs[same.name].grad / models.scale(ours, same, theirs[same.name]),
        )
        for same in models.pairs(peer.state_dict())
        if same.name in theirs
    ]
    # Some gradients are 0 but for rounding, as that of a bias before softmax: no norm to compare.
    least = 1e-6 * max(float(expected.norm()) for _, expected in both)
    worst = max(
        float((found - expected).norm() / expected.norm().clamp(min=least))
        for found, expected in both
    )
    losses = abs(our_loss.item() - their_loss.item()) / their_loss.item()
    note = f"the worst of {len(both)}, in float64; the losses by {losses:.0e}"
    what = f"gradients of one step, {name}'s weights in both, differ by"
    return Result(what, [worst], "of their norm", at_most=1e-3, note=note)
