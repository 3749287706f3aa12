"""Writing reports: ours against R2GenCMN's and R2Gen's own code.

What they write is compared by `tokens`; how the weights come about is told in `pair`.
"""

import numpy as np
import torch

from benchmarks import models, peers
from benchmarks.measure import Result, paired, timed
from benchmarks.models import LONGEST, VOCABULARY
from benchmarks.pair import LearntPair, endless_weights
from benchmarks.work import BATCH, NEVER, as_patches, features, images_of, normalised, our_reports


def run(options) -> list[Result]:
    """Against the peers that are there."""
    if not (options.r2gencmn or options.r2gen):
        print("writing is measured against peers: name checkouts by --r2gencmn and --r2gen")
    results = []
    if options.r2gencmn:
        results += _against_r2gencmn(options)
    if options.r2gen:
        results += _against_r2gen(options)
    return results


def _against_r2gencmn(options) -> list[Result]:
    pair = LearntPair(options.r2gencmn, options.device, quick=options.quick)
    natural = pair.write(pair.learnt, range(options.rounds))
    words = f"{np.mean(natural.lengths):.0f} words on average, {natural.distinct} different reports"
    endless = pair.write(endless_weights(pair.learnt), range(100, 101 if options.quick else 103))
    same = "all tokens the same in {} of {} reports"
    results = [
        _ratio(what, written.ours, written.theirs, target=target,
               note=f"{note}; {same.format(sum(written.same), len(written.same))}")
        for what, written, target, note in (
            ("features to reports", natural, 60, words),
            ("the same, reports that never end", endless, None,
             f"all of {min(endless.lengths)} words"),
        )
    ]  # fmt: skip
    return results + _from_images(options, pair)


def _ratio(
    what: str, ours: list[float], theirs: list[float], *,
    against: str = "R2GenCMN", target: float | None = None, note: str = "",
) -> Result:  # fmt: skip
    return Result(what, ours, "ms/report", theirs, against, target=target, note=note)


def _from_images(options, pair: LearntPair) -> list[Result]:
    """From images, 224 pixels, to reports; theirs are normalised already."""
    pair.set_weights(pair.learnt)
    ours, peer = pair.ours, pair.peer
    images, projections = images_of(options.device)
    theirs = normalised(images, ours)
    written = {}

    prepared = ours.prepare()

    def us() -> None:
        written["ours"] = our_reports(ours, images, projections, prepared)

    def them() -> None:
        with torch.no_grad():
            written["theirs"] = peers.write(peer, *peers.encode(peer, theirs))

    us()
    rounds = 1 if options.quick else max(3, options.rounds // 2)
    one, other = paired(us, them, rounds=rounds, warm_up=False)
    same = int((written["ours"] == written["theirs"]).all(1).sum())
    scale = 1e3 / BATCH
    whole = _ratio(
        "images to reports, ResNet-101 at 224", [s * scale for s in one],
        [s * scale for s in other], target=20, note=f"same tokens: {same} of {BATCH}",
    )  # fmt: skip
    with torch.inference_mode():
        flat, folded = images.flatten(0, 1), prepared.cnn
        alone = [timed(lambda: folded(flat)) * scale for _ in range(options.rounds)]
    return [whole, Result("of that, the CNN", alone, "ms/report")]


def _against_r2gen(options) -> list[Result]:
    """R2Gen is another model: the same sizes and the same length, not the same words."""
    device = options.device
    peer = peers.load_peer(options.r2gen, VOCABULARY).eval().to(device)
    ours = models.our_model().to(device)
    with torch.no_grad():
        for classifier in (ours.classifier, peer.encoder_decoder.logit):
            classifier.bias[0] = NEVER  # reports never end, on both sides
    maps, projections = features(BATCH, 0, device)
    prepared = ours.prepare()
    one, other = paired(
        lambda: our_reports(ours, maps, projections, prepared),
        lambda: peers.write(peer, *as_patches(maps)),
        rounds=1 if options.quick else 3, warm_up=False,
    )  # fmt: skip
    scale = 1e3 / BATCH
    return [_ratio(
        f"full RCAN, features to reports of {LONGEST} words", [s * scale for s in one],
        [s * scale for s in other], against="R2Gen, another model of the same sizes",
    )]  # fmt: skip
