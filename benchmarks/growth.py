"""How costs grow: the slope of log cost against log size, 1 being in proportion.

FLOPs are exact; seconds are the least of a few calls.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch.utils.flop_counter import FlopCounterMode

from benchmarks import models, peers
from benchmarks.measure import Result, exponent, timed
from benchmarks.models import VOCABULARY
from benchmarks.training import our_step
from benchmarks.work import as_patches, endless_model, features, our_reports


def run(options) -> list[Result]:
    """Decoding against length, studies and slots; a training step against its images."""
    quick = options.quick
    lengths = (5, 10) if quick else (15, 30, 60, 120, 240)
    studies = (1, 2) if quick else (4, 8, 16, 32, 64)
    slots = (512, 1024) if quick else (512, 1024, 2048, 4096, 8192)
    device = options.device
    results = [
        *_grown("decoding against report length", lengths, partial(_writing, device=device), 1.0),
        *_grown("decoding against number of studies", studies,
                partial(_writing_for, device=device), 1.0),
        *_grown("decoding against memory slots", slots, partial(_writing_with, device=device), 1.0),
    ]  # fmt: skip
    sizes = (1, 2) if quick else (1, 2, 4, 8)
    results += _grown(
        "training step against images", sizes, partial(_training, device=device), 1.05
    )
    for name, checkout in (("R2GenCMN", options.r2gencmn), ("R2Gen", options.r2gen)):
        if checkout and device == "cpu":
            results += _peer(name, checkout, (4, 8) if quick else (15, 30, 60))
    return results


def _grown(
    what: str, sizes: Sequence[int], build: Callable[[int], Callable], limit: float
) -> list[Result]:
    """FLOPs, with a tolerance of 0.01, and seconds."""
    flops, seconds = [], []
    for size in sizes:
        call = build(size)
        with FlopCounterMode(display=False) as counter:
            call()
        flops.append(counter.get_total_flops())
        seconds.append(min(timed(call) for _ in range(3)))
    spread = f"{sizes[0]} to {sizes[-1]}"
    times = ", ".join(f"{s:.2f}" for s in seconds)
    return [
        Result(f"{what}: FLOPs", [exponent(sizes, flops)], "exponent", at_most=limit + 0.01,
               note=f"{spread}; last doubling {exponent(sizes[-2:], flops[-2:]):.2f}"),
        Result(f"{what}: time", [exponent(sizes, seconds)], "exponent",
               note=f"{spread}; {times} s"),
    ]  # fmt: skip


def _writing(length: int, device: str) -> Callable:
    model = endless_model({"data.max_length": length}, device)
    maps, projections = features(8, 0, device)
    return partial(our_reports, model, maps, projections)


def _writing_for(studies: int, device: str) -> Callable:
    model = endless_model({}, device)
    maps, projections = features(studies, 0, device)
    return partial(our_reports, model, maps, projections)


def _writing_with(slots: int, device: str) -> Callable:
    model = endless_model({"cgm.num_slots": slots}, device)
    maps, projections = features(8, 0, device)
    return partial(our_reports, model, maps, projections)


def _training(studies: int, device: str) -> Callable:
    return our_step({}, frozen=False, device=device, num_studies=studies)


def _peer(name: str, checkout, lengths: Sequence[int]) -> list[Result]:
    """FLOPs of a peer's own search, one study, against length; and of our same model's."""
    flops = []
    for length in lengths:
        peer = peers.load_peer(checkout, VOCABULARY, max_seq_length=length).eval()
        peer.requires_grad_(False)
        patches = as_patches(features(1, 0)[0])
        with FlopCounterMode(display=False) as counter:
            peers.write(peer, *patches)
        flops.append(counter.get_total_flops())
    model = endless_model({"data.max_length": lengths[-1], **models.PEERS[name]}, "cpu")
    with FlopCounterMode(display=False) as counter:
        our_reports(model, *features(1, 0))
    return [
        Result(f"{name} against report length: FLOPs", [exponent(lengths, flops)], "exponent",
               note=f"{lengths[0]} to {lengths[-1]}; last doubling "
                    f"{exponent(lengths[-2:], flops[-2:]):.2f}"),
        Result(f"FLOPs of one report of {lengths[-1]} words, {name}'s settings",
               [counter.get_total_flops() / 1e9], "GFLOP", [flops[-1] / 1e9], name),
    ]  # fmt: skip
