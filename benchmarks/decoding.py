"""Writing reports: ours against R2GenCMN's and R2Gen's own code, and what our modules cost.

The same weights are in both sides; `tokens` compares what they write. They are learnt first, on the
demo's report texts cut to IU X-ray's lengths, so that reports end where reports end.
What a model prepares once for a whole split is prepared once here, too, and not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import models, peers
from benchmarks.measure import Result, paired, timed
from benchmarks.models import BEAMS, IDS, LONGEST, VOCABULARY
from rcan.data.demo import demo_studies
from rcan.generation.beam_search import beam_search
from rcan.model.rcan import RCAN, cross_entropy

BATCH = 8
LEARNING_STEPS, WARM_UP = 300, 50


def run(options) -> list[Result]:
    """Against the peers that are there, then our modules."""
    results = []
    if options.r2gencmn:
        results += _against_r2gencmn(options)
    if options.r2gen:
        results += _against_r2gen(options)
    return results + _modules(options)


def features(num_studies: int, seed: int) -> tuple[Tensor, Tensor]:
    """Maps (B, 2, C, 7, 7) as a CNN might give them, and projections (B, 2)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (num_studies, 2, models.CHANNELS)
    own = torch.rand(*shape, 1, 1, generator=generator) ** 4  # few channels are strong, as in a CNN
    noise = torch.rand(*shape, models.MAP_SIDE, models.MAP_SIDE, generator=generator)
    return 4 * own + 0.2 * noise, torch.zeros(num_studies, 2, dtype=torch.long)


def as_patches(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, 2, C, h, w) as the peers want them: pooled (B, 2·C), patches (B, S, C)."""
    return maps.mean((3, 4)).flatten(1), maps.flatten(3).transpose(2, 3).flatten(1, 2).contiguous()


@torch.inference_mode()
def our_reports(model: RCAN, maps: Tensor, projections: Tensor, prepared=None) -> Tensor:
    """Word ids (B, T); images in the place of maps will do too."""
    prepared = prepared or model.prepare()
    words, _ = beam_search(
        model.step, model.start(maps, projections, BEAMS, prepared), num_studies=len(maps),
        beam_size=BEAMS, max_length=model.max_length, device=maps.device, **IDS,
    )  # fmt: skip
    return words[0]


def _against_r2gencmn(options) -> list[Result]:
    rounds = 1 if options.quick else options.rounds
    pair = LearntPair(options.r2gencmn, options.device, quick=options.quick)
    natural = pair.write(pair.learnt, range(rounds))
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


@dataclass
class Written:
    """Reports of both sides for the same features: times in ms a report, and what was written."""

    ours: list[float]
    theirs: list[float]
    same: list[bool]
    lengths: list[int]
    distinct: int


class LearntPair:
    """R2GenCMN and our model of the same modules, with the same weights; reports they learnt."""

    def __init__(self, checkout: Path, device: str, *, quick: bool) -> None:
        self.device = device
        self.peer = peers.load_peer(checkout, VOCABULARY).eval()
        self.ours = models.our_model(models.R2GENCMN)
        models.take_weights(self.ours, self.peer)
        self.untrained = _copy(self.ours)
        _learn(self.ours, 2 if quick else LEARNING_STEPS)
        self.learnt = _copy(self.ours)
        self.ours, self.peer = self.ours.to(device), self.peer.to(device)

    def set_weights(self, weights: dict[str, Tensor]) -> None:
        """In both, named as in ours."""
        self.ours.load_state_dict(weights)
        models.give_weights(self.ours, self.peer)

    def write(
        self, weights: dict[str, Tensor], seeds: range, *, stable_sort: bool = False
    ) -> Written:
        """A batch of reports for each seed, both sides in turns."""
        self.set_weights(weights)
        prepared = self.ours.prepare()
        our_reports(self.ours, *self._features(999), prepared)  # to warm up
        kept = Written([], [], [], [], 0)
        reports = set()
        for seed in seeds:
            maps, projections = self._features(seed)
            written: dict[str, Tensor] = {}

            def us(maps=maps, projections=projections, written=written):
                written["ours"] = our_reports(self.ours, maps, projections, prepared)

            def them(maps=maps, written=written):
                written["theirs"] = peers.write(
                    self.peer, *as_patches(maps), stable_sort=stable_sort
                )

            one, other = paired(us, them, rounds=1, warm_up=False)
            kept.ours.append(one[0] / BATCH * 1e3)
            kept.theirs.append(other[0] / BATCH * 1e3)
            kept.same += (written["ours"] == written["theirs"]).all(1).tolist()
            kept.lengths += (written["ours"] != 0).sum(1).tolist()
            reports.update(map(tuple, written["ours"].tolist()))
        kept.distinct = len(reports)
        return kept

    def _features(self, seed: int) -> list[Tensor]:
        return [x.to(self.device) for x in features(BATCH, seed)]


def _copy(model: RCAN) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _ratio(
    what: str, ours: list[float], theirs: list[float], *,
    against: str = "R2GenCMN", target: float | None = None, note: str = "",
) -> Result:  # fmt: skip
    return Result(what, ours, "ms/report", theirs, against, target=target, note=note)


def _from_images(options, pair: LearntPair) -> list[Result]:
    """From images, 224 pixels, to reports; theirs are normalised already."""
    pair.set_weights(pair.learnt)
    ours, peer = pair.ours, pair.peer
    generator = torch.Generator().manual_seed(0)
    side = models.PIXELS
    images = torch.randint(0, 256, (BATCH, 2, side, side), generator=generator).to(torch.uint8)
    images = images.to(options.device)
    projections = torch.zeros(BATCH, 2, dtype=torch.long, device=options.device)
    theirs = (images.unsqueeze(2) / 255 - ours.cnn.mean) / ours.cnn.std  # (B, 2, 3, H, W)
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
        rounds = 1 if options.quick else options.rounds
        flat, folded = images.flatten(0, 1), prepared.cnn
        alone = [timed(lambda: folded(flat)) * scale for _ in range(rounds)]
    return [whole, Result("of that, the CNN", alone, "ms/report")]


def _against_r2gen(options) -> list[Result]:
    """R2Gen is another model: the same sizes and the same length, not the same words."""
    device = options.device
    peer = peers.load_peer(options.r2gen, VOCABULARY).eval().to(device)
    ours = models.our_model().to(device)
    with torch.no_grad():
        for classifier in (ours.classifier, peer.encoder_decoder.logit):
            classifier.bias[0] = -1e4  # reports never end, on both sides
    maps, projections = (x.to(device) for x in features(BATCH, 0))
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


def _modules(options) -> list[Result]:
    """What CGM adds to writing a word: RCAN against itself without the module."""
    results = []
    rounds = 1 if options.quick else options.rounds
    kinds = {name: models.our_model({"model.use_cgm": on, "model.use_rve": False,
                                     "model.use_wcl": False}).to(options.device)
             for name, on in (("with", True), ("without", False))}  # fmt: skip
    for model in kinds.values():
        with torch.no_grad():
            model.classifier.weight.mul_(4)  # so that untrained beams differ
            model.classifier.bias[0] = -1e4
    for batch in (BATCH,) if options.quick else (BATCH, 64):
        maps, projections = (x.to(options.device) for x in features(batch, 0))
        calls = {name: _steps(model, maps, projections) for name, model in kinds.items()}
        one, other = paired(calls["with"], calls["without"], rounds=rounds)
        ms = [[s / LONGEST * 1e3 for s in seconds] for seconds in (one, other)]
        added = float(np.median([a / b - 1 for a, b in zip(one, other, strict=True)]))
        results.append(Result(
            f"one word of {batch} studies, with CGM", ms[0], "ms/step", ms[1], "without CGM",
            target=1 / 1.1, note=f"CGM adds {added:.1%}",
        ))  # fmt: skip
    return results


def _steps(model: RCAN, maps: Tensor, projections: Tensor) -> Callable[[], None]:
    """Writing alone: the images are looked at, and the memory's slots projected, beforehand."""
    with torch.inference_mode():
        prepared = model.prepare()
        hidden = model.encode(model.recalibrate(maps, model.cnn)[1], projections, prepared.slots)
    start = partial(_start, model, hidden, prepared)

    @torch.inference_mode()
    def call() -> None:
        beam_search(
            model.step, start(), num_studies=len(maps), beam_size=BEAMS,
            max_length=model.max_length, device=maps.device, **IDS,
        )  # fmt: skip

    return call


def _start(model: RCAN, hidden: Tensor, prepared):
    """`RCAN.start` after its encoder."""
    from rcan.model.rcan import DecoderState
    from rcan.model.transformer import Ancestors

    num_studies, longest = len(hidden), model.max_length + 1
    return DecoderState(
        0, prepared, model.decoder.start(hidden, BEAMS, longest),
        Ancestors(num_studies, BEAMS, longest, like=hidden), model.cgm.start(num_studies, BEAMS),
    )  # fmt: skip


def _learn(model: RCAN, steps: int) -> None:
    """Report texts, by a few steps of teacher forcing over features that say which report it is."""
    reports = _texts(64)
    maps, projections = features(len(reports), seed=0)
    maps = maps[..., :2, :2]  # fewer patches will do for learning
    places, model.patch_places = model.patch_places, model.patch_places[: 2 * 4]
    parameters = [p for name, p in model.named_parameters() if not name.startswith("cnn.")]
    optimizer = torch.optim.Adam(parameters)
    torch.manual_seed(0)
    model.train()
    for step in range(steps):
        some = torch.arange(step * 16, step * 16 + 16) % len(reports)
        longest = int((reports[some] != 0).sum(1).max()) + 2
        tokens = reports[some, :longest]
        logits, _ = model(maps[some], projections[some], tokens[:, :-1])
        targets = tokens[:, 1:].clone()
        past_the_end = (targets == 0).cumsum(1) > 1
        optimizer.param_groups[0]["lr"] = 5e-4 * min(1, (step + 1) / WARM_UP)
        optimizer.zero_grad()
        cross_entropy(logits, targets.masked_fill(past_the_end, -1), -1).backward()
        optimizer.step()
    model.eval()
    model.patch_places = places


def _texts(number: int) -> Tensor:
    """Reports as ids (n, T): 0, words, 0, ...; sentences of the demo, 5 to 55 words."""
    studies = demo_studies(num_train=number, num_val=1, num_test=1, seed=1, image_size=64)
    words: dict[str, int] = {}
    rows = torch.zeros(number, LONGEST + 1, dtype=torch.long)
    lengths = np.random.default_rng(0).integers(5, 56, number)
    for row, study, length in zip(rows, studies[:number], lengths, strict=True):
        text = study.report.lower().replace(".", " .").split()[:length]
        ids = [words.setdefault(word, len(words) + 1) for word in text]
        row[1 : len(ids) + 1] = torch.tensor(ids)
    return rows


def endless_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, but no report ends."""
    bias = state["classifier.bias"].clone()
    bias[0] = -1e4
    return {**state, "classifier.bias": bias}


def tied_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, but every word has a double with the same score; they go on differently."""
    changed = dict(state)
    for name in ("classifier.weight", "classifier.bias"):
        table = state[name].clone()
        table[300:599] = table[1:300]
        changed[name] = table
    return changed
