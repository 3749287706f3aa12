"""A peer and our model of the same modules with the same weights, writing side by side.

The weights are learnt first, on the demo's report texts cut to IU X-ray's lengths, so that reports
end where reports end. What our model prepares once for a whole split is prepared once here, too,
and not counted.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import models, peers
from benchmarks.measure import paired
from benchmarks.models import LONGEST, VOCABULARY
from benchmarks.work import BATCH, NEVER, as_patches, features, our_reports
from rcan.data.batches import Batch
from rcan.data.sets.demo import demo_studies
from rcan.model.interface import Alone, ReportModel, cross_entropy

LEARNING_STEPS, WARM_UP = 300, 50


@dataclass
class Written:
    """Reports of both sides for the same features: times in ms a report, and what was written."""

    ours: list[float]
    theirs: list[float]
    same: list[bool]
    lengths: list[int]
    distinct: int


class LearntPair:
    """The peer `name` and our model of the same modules; both have the weights that ours learnt."""

    def __init__(self, name: str, checkout: Path, device: str, *, quick: bool) -> None:
        self.device = device
        self.peer = peers.load_peer(checkout, VOCABULARY).eval()
        self.ours = models.our_model(models.PEERS[name])
        models.take_weights(self.ours, self.peer)
        self.untrained = _copy(self.ours)
        learn(self.ours, 2 if quick else LEARNING_STEPS)
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
        our_reports(self.ours, *features(BATCH, 999, self.device), prepared)  # to warm up
        kept = Written([], [], [], [], 0)
        reports = set()
        for seed in seeds:
            maps, projections = features(BATCH, seed, self.device)
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


def _copy(model: ReportModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def endless_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, but no report ends."""
    bias = state["classifier.bias"].clone()
    bias[0] = NEVER
    return {**state, "classifier.bias": bias}


def tied_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, but every word has a double with the same score; they go on differently."""
    changed = dict(state)
    for name in ("classifier.weight", "classifier.bias"):
        table = state[name].clone()
        table[300:599] = table[1:300]
        changed[name] = table
    return changed


def learn(model: ReportModel, steps: int, number: int = 64) -> None:
    """Report texts, by a few steps of teacher forcing over features that say which report it is."""
    reports = _texts(number)
    maps, projections = features(len(reports), seed=0)
    maps = maps[..., :2, :2]  # fewer patches will do for learning
    places = getattr(model, "patch_positions", None)
    if places is not None:
        model.patch_positions = places[: 2 * 4]
    parameters = [p for name, p in model.named_parameters() if not name.startswith("visual.cnn.")]
    optimizer = torch.optim.Adam(parameters)
    torch.manual_seed(0)
    model.train()
    for step in range(steps):
        some = torch.arange(step * 16, step * 16 + 16) % len(reports)
        longest = int((reports[some] != 0).sum(1).max()) + 2
        tokens = reports[some, :longest]
        past_the_end = (tokens[:, 1:] == 0).cumsum(1) > 1
        batch = Batch(maps[some], projections[some], tokens, pad_id=-1)
        output = model(batch)
        tokens = torch.cat([tokens[:, :1], tokens[:, 1:].masked_fill(past_the_end, -1)], 1)
        optimizer.param_groups[0]["lr"] = 5e-4 * min(1, (step + 1) / WARM_UP)
        optimizer.zero_grad()
        cross_entropy(output, batch._replace(tokens=tokens), Alone()).backward()
        optimizer.step()
    model.eval()
    if places is not None:
        model.patch_positions = places


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
