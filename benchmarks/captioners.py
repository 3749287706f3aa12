"""Captioning models against self-critical.pytorch's own: the same weights, the same work.

Log-probabilities must agree, and so must CIDEr-D with ruotianluo/cider's. Both sides are given the
patches of a CNN's kept map; its global vector is our mean of embedded patches. One id is padding,
begin and end mark there. Where paper and code differ, the setting is that of the code.

    python -m benchmarks captioners --self-critical path/of/self-critical.pytorch
"""

import contextlib
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import models
from benchmarks.measure import Result, paired
from benchmarks.models import BEAMS, CHANNELS, LONGEST, VOCABULARY
from benchmarks.pair import learn
from benchmarks.work import BATCH, NEVER, as_patches, features, our_reports, reports
from rcan.data.batches import Batch
from rcan.evaluation.cider import CiderD
from rcan.model.interface import Alone
from rcan.training.optimization import build_optimizer

PEER, DROPOUT, LEARNING_STEPS = "self-critical.pytorch", 0.1, 150
UPDOWN = {"model.family": "updown", "updown.words": "relu"}
# Our settings, and what the same is called there.
SAME = {
    "nic, cell: maxout": ({"model.family": "nic", "nic.cell": "maxout"}, "newfc"),
    "adaatt, extra_layers": ({"model.family": "adaatt", "adaatt.extra_layers": True}, "adaatt"),
    "att2in": ({"model.family": "att2in"}, "att2in"),
    "att2in, words: relu": ({"model.family": "att2in", "att2in.words": "relu"}, "att2in2"),
    "updown, words: relu": (UPDOWN, "updown"),
}  # fmt: skip


def run(options) -> list[Result]:
    """Agreement of all, then the speed of Up-Down at its paper's sizes and theirs by default."""
    results = []
    if options.cider:
        results.append(_cider(options.cider))
    if checkout := options.self_critical:
        results += [_agreement(what, Pair(checkout, *same)) for what, same in SAME.items()]
        rounds = 1 if options.quick else options.rounds
        results.append(_natural(Pair(checkout, UPDOWN, "updown"), rounds, quick=options.quick))
        paper = Pair(checkout, {**UPDOWN, "model.d_model": 1000}, "updown")
        results += [_endless(paper, rounds), _step(paper, rounds)]
    if not results:
        print("captioners are compared with peers: name checkouts by --self-critical and --cider")
    return results


class Pair:
    """Our model and theirs, with our weights in both."""

    def __init__(self, checkout: Path, changes: dict, name: str) -> None:
        self.changes = {
            **changes, "visual.frozen": True, "model.patch_positions": "none",
            "model.dropout": DROPOUT, "train.optimizer": "adam",
        }  # fmt: skip
        self.ours = models.our_model(self.changes)
        d = self.ours.words.embedding_dim
        self.embeds = name in ("att2in2", "updown")  # patches itself
        options = SimpleNamespace(
            caption_model=name, vocab_size=VOCABULARY - 1, vocab={}, input_encoding_size=d,
            rnn_size=d, num_layers=1, drop_prob_lm=DROPOUT, max_length=LONGEST, fc_feat_size=d,
            att_feat_size=CHANNELS if self.embeds else d, att_hid_size=512,
        )  # fmt: skip
        with _importable(checkout):
            self.peer = importlib.import_module("captioning.models").setup(options).eval()
        with torch.no_grad():
            for own in self.ours.parameters():
                if own.dim() == 1:
                    own.normal_(std=0.1)  # biases that count
            self.ours.classifier.weight.mul_(4)  # probabilities that differ
        give_weights(self.ours, self.peer)

    def seen(self, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Maps and projections of a batch, for us; global vectors and patches, for them."""
        maps, projections = features(BATCH, seed)
        with torch.no_grad():
            patches = self.ours.visual(maps, projections).patches
        theirs = as_patches(maps)[1] if self.embeds else patches
        return (maps, projections), (patches.mean(1), theirs)


@torch.no_grad()
def give_weights(ours: nn.Module, peer: nn.Module) -> None:
    """Ours to theirs, where most linear layers have a bias of their own: it stays 0."""
    state = {name: torch.zeros_like(value) for name, value in peer.state_dict().items()}
    layers = {"embed" if "embed.weight" in state else "embed.0": ours.words}
    layers["logit"] = ours.classifier
    layers |= LAYERS[type(ours).__name__](ours, state)
    for name, layer in layers.items():
        state |= {f"{name}.{part}": value for part, value in layer.state_dict().items()}
    peer.load_state_dict(state)


def _of_nic(ours: nn.Module, state: dict[str, Tensor]) -> dict[str, nn.Module]:
    """Puts the gates into `state`; by their names our layers that are the same there."""
    _maxout_gates("_core", ours.lstm.gates, ours.lstm.recurrent, state)
    return {"fc_embed": ours.image}


def _of_adaatt(ours: nn.Module, state: dict[str, Tensor]) -> dict[str, nn.Module]:
    d, lstm = ours.words.embedding_dim, "core.lstm."
    for name, own in (("w2h", ours.input), ("v2h", ours.image), ("h2h.0", ours.recurrent)):
        for part, value in own.state_dict().items():
            state[f"{lstm}{name}.{part}"] = _ifou(value[: 4 * d], 4)
            state[f"{lstm}r_{name.removesuffix('.0')}.{part}"] = value[4 * d :]
    attention, of_s, of_h = "core.attention.", ours.of_s[1], ours.of_h[1]
    return {
        "att_embed.0": ours.patch[0], "fc_embed.0": ours.mean[0], "ctx2att": ours.attend.key,
        f"{attention}fr_linear.0": of_s, f"{attention}fr_embed": ours.key_of_s,
        f"{attention}ho_linear.0": of_h, f"{attention}ho_embed": ours.attend.query,
        f"{attention}alpha_net": ours.attend.weigh, f"{attention}att2h": ours.output[0],
    }  # fmt: skip


def _of_att2in(ours: nn.Module, state: dict[str, Tensor]) -> dict[str, nn.Module]:
    _maxout_gates("core", ours.input, ours.recurrent, state)
    return {"core.a2c": ours.context, **_attention(ours, state)}


def _of_updown(ours: nn.Module, state: dict[str, Tensor]) -> dict[str, nn.Module]:
    d = ours.words.embedding_dim
    state["fc_embed.0.weight"] = torch.eye(d)  # our mean of patches is not embedded again
    own1, own2 = ours.first.weight, ours.second.weight
    inputs = [own1[:, d:], ours.mean.weight, ours.input.weight]
    state["core.att_lstm.weight_ih"] = torch.cat(inputs, 1)
    state["core.att_lstm.weight_hh"] = own1[:, :d]
    state["core.att_lstm.bias_ih"] = ours.input.bias
    state["core.lang_lstm.weight_ih"] = own2[:, : 2 * d]
    state["core.lang_lstm.weight_hh"] = own2[:, 2 * d :]
    state["core.lang_lstm.bias_ih"] = ours.second.bias
    return _attention(ours, state)


LAYERS = {"NIC": _of_nic, "AdaAtt": _of_adaatt, "Att2in": _of_att2in, "UpDown": _of_updown}


def _attention(ours: nn.Module, state: dict[str, Tensor]) -> dict[str, nn.Module]:
    embedding = {"att_embed.0": ours.visual.patches.project[0]}
    return {
        **(embedding if "att_embed.0.weight" in state else {}),
        "ctx2att": ours.attend.key, "core.attention.h2att": ours.attend.query,
        "core.attention.alpha_net": ours.attend.weigh,
    }  # fmt: skip


def _maxout_gates(
    name: str, own: nn.Linear, recurrent: nn.Linear, state: dict[str, Tensor]
) -> None:
    state[f"{name}.i2h.weight"], state[f"{name}.i2h.bias"] = _ifou(own.weight), _ifou(own.bias)
    state[f"{name}.h2h.weight"] = _ifou(recurrent.weight)


def _ifou(gates: Tensor, number: int = 5) -> Tensor:
    """Gates i, f, u (and u' of 5), o in its order: o before u."""
    i, f, *u, o = gates.chunk(number)
    return torch.cat([i, f, o, *u])


@torch.no_grad()
def _agreement(what: str, pair: Pair) -> Result:
    ours, theirs = pair.seen(0)
    tokens = reports()
    our_words = pair.ours(Batch(*ours, tokens, pad_id=-1)).logits.log_softmax(-1)
    their_words = pair.peer(*theirs, tokens[:, :-1])
    worst = float((our_words - their_words).abs().max())
    others = float((our_words - our_words.roll(1, 0)).abs().max())
    note = (
        f"of {BATCH} reports of {tokens.shape[1] - 1} words; those of two reports by {others:.1g}"
    )
    return Result(f"{what}: log-probabilities differ by", [worst], "", at_most=1e-5, note=note)


def _natural(pair: Pair, rounds: int, *, quick: bool) -> Result:
    """Reports that end where those that were learnt end."""
    learn(pair.ours, 2 if quick else LEARNING_STEPS, number=2 * BATCH)
    give_weights(pair.ours, pair.peer)
    one, other, written = _write(pair, 0, rounds)
    words = (written["ours"] != 0).sum(1).float().mean()
    what = f"updown, width 512: features to reports of {words:.0f} words on average"
    return _ratio(what, one, other, written, target=3)


def _endless(pair: Pair, rounds: int) -> Result:
    with torch.no_grad():
        pair.ours.classifier.bias[0] = NEVER
    give_weights(pair.ours, pair.peer)
    what = f"updown, width 1,000: features to reports of {LONGEST} words that never end"
    return _ratio(what, *_write(pair, 1, rounds))


def _write(pair: Pair, seed: int, rounds: int) -> tuple[list[float], list[float], dict]:
    (maps, projections), theirs = pair.seen(seed)
    prepared, written = pair.ours.prepare(), {}

    def us() -> None:
        written["ours"] = our_reports(pair.ours, maps, projections, prepared)

    def them() -> None:
        with torch.no_grad():
            options = {"beam_size": BEAMS, "sample_n": 1}
            written["theirs"] = pair.peer(*theirs, mode="sample", opt=options)[0]

    return *paired(us, them, rounds=rounds), written


def _ratio(
    what: str, ours: list[float], theirs: list[float], written: dict, target: float | None = None
) -> Result:
    same = int((written["ours"] == written["theirs"]).all(1).sum())
    scale = 1e3 / BATCH
    return Result(
        what, [s * scale for s in ours], "ms/report", [s * scale for s in theirs], PEER,
        target=target, note=f"same tokens in {same} of {BATCH} reports",
    )  # fmt: skip


def _step(pair: Pair, rounds: int) -> Result:
    settings = models.settings(pair.changes)
    optimizer = build_optimizer(pair.ours.train(), settings.train)
    their_optimizer = torch.optim.Adam(pair.peer.train().parameters(), settings.train.lr)
    (maps, projections), theirs = pair.seen(1)
    tokens = reports()
    batch = Batch(maps.half(), projections, tokens, pad_id=-1)  # as they are kept

    def us() -> None:
        pair.ours.losses(pair.ours(batch), batch, Alone())["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def them() -> None:
        their_optimizer.zero_grad()
        logprobs = pair.peer(*theirs, tokens[:, :-1])
        (-logprobs.gather(2, tokens[:, 1:].unsqueeze(2)).mean()).backward()
        their_optimizer.step()

    one, other = paired(us, them, rounds=rounds)
    return Result("updown, width 1,000: a training step", one, "s", other, PEER, target=1)


def _cider(checkout: Path) -> Result:
    """CIDEr-D of random reports against random training reports, many of them of few words."""
    with _importable(checkout):
        scorer = importlib.import_module("pyciderevalcap.ciderD.ciderD_scorer").CiderScorer
    rng, worst, num_scores = np.random.default_rng(0), 0.0, 0
    for _ in range(20):
        size, number = int(rng.integers(3, VOCABULARY)), int(rng.integers(2, 80))
        p = rng.dirichlet(np.full(size, 0.3))
        train, written = (
            [rng.choice(size, rng.integers(low, LONGEST), p=p).tolist() for _ in range(number)]
            for low in (1, 0)
        )
        written[0], numbers = train[0], rng.permutation(number)
        numbers[0] = 0
        corpus = scorer(df_mode="corpus")
        for report in train:
            corpus.cook_append(None, [" ".join(map(str, report))])
        vars(corpus)["document_frequency"] = defaultdict(float)
        corpus.compute_doc_freq()
        theirs = corpus.copy_empty()
        vars(theirs).update(df_mode="kept", ref_len=np.log(float(number)))
        for report, study in zip(written, numbers, strict=True):
            texts = (" ".join(map(str, words)) for words in (report, train[study]))
            theirs += (next(texts), [next(texts)])
        expected = theirs.compute_score()[1]
        worst = max(worst, float(abs(CiderD(train, size)(written, numbers) - expected).max()))
        num_scores += number
    note = f"of {num_scores} random reports, ruotianluo/cider's"
    return Result("CIDEr-D differs by", [worst], "of 10 at most", at_most=1e-9, note=note)


@contextlib.contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
