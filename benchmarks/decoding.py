"""Writing reports: ours against R2GenCMN's and R2Gen's own code, their weights in both.

What they write is compared by `tokens`; how the weights come about is told in `pair`.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks import peers
from benchmarks.measure import Result, paired, timed
from benchmarks.pair import LearntPair, endless_weights
from benchmarks.work import BATCH, images_of, normalised, our_reports

TARGETS = {"R2GenCMN": 60, "R2Gen": 40}


def run(options) -> list[Result]:
    """Against the peers that are there."""
    there = peers.peers_of(options)
    if not there:
        print("writing is measured against peers: name checkouts by --r2gencmn and --r2gen")
    return [one for name, checkout in there.items() for one in _against(name, checkout, options)]


def _against(peer: str, checkout: Path, options) -> list[Result]:
    pair = LearntPair(peer, checkout, options.device, quick=options.quick)
    natural = pair.write(pair.learnt, range(options.rounds))
    words = f"{np.mean(natural.lengths):.0f} words on average, {natural.distinct} different reports"
    endless = pair.write(endless_weights(pair.learnt), range(100, 101 if options.quick else 103))
    same = "all tokens the same in {} of {} reports"
    results = [
        _ratio(what, written.ours, written.theirs, peer, target=target,
               note=f"{note}; {same.format(sum(written.same), len(written.same))}")
        for what, written, target, note in (
            ("features to reports", natural, TARGETS[peer], words),
            ("the same, reports that never end", endless, None,
             f"all of {min(endless.lengths)} words"),
        )
    ]  # fmt: skip
    return results + _from_images(options, peer, pair)


def _ratio(
    what: str, ours: list[float], theirs: list[float], against: str, *,
    target: float | None = None, note: str = "",
) -> Result:  # fmt: skip
    return Result(what, ours, "ms/report", theirs, against, target=target, note=note)


def _from_images(options, peer: str, pair: LearntPair) -> list[Result]:
    """From images, 224 pixels, to reports; theirs are normalised already."""
    pair.set_weights(pair.learnt)
    ours = pair.ours
    images, projections = images_of(options.device)
    theirs = normalised(images, ours)
    written = {}

    prepared = ours.prepare()

    def us() -> None:
        written["ours"] = our_reports(ours, images, projections, prepared)

    def them() -> None:
        with torch.no_grad():
            written["theirs"] = peers.write(pair.peer, *peers.encode(pair.peer, theirs))

    us()
    rounds = 1 if options.quick else max(3, options.rounds // 2)
    one, other = paired(us, them, rounds=rounds, warm_up=False)
    same = int((written["ours"] == written["theirs"]).all(1).sum())
    scale = 1e3 / BATCH
    whole = _ratio(
        "images to reports, ResNet-101 at 224", [s * scale for s in one],
        [s * scale for s in other], peer, target=20, note=f"same tokens: {same} of {BATCH}",
    )  # fmt: skip
    with torch.inference_mode():
        flat, folded = images.flatten(0, 1), prepared.cnn
        alone = [timed(lambda: folded(flat)) * scale for _ in range(options.rounds)]
    return [whole, Result("of that, the CNN", alone, "ms/report")]
