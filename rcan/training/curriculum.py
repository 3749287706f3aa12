"""CMCL, *Competence-based multimodal curriculum learning for medical report generation* (Liu et
al., 2206.14579): over any model, the order of training.

Four measures of difficulty order the training studies, each with the easy first:

d1  image, heuristic: -(mean cosine of a study's pooled images to those of all normal studies)
d2  image, confidence: entropy of a classifier of findings
d3  report, heuristic: number of abnormal sentences, those without no, normal, clear, stable
d4  report, confidence: -log p(report) under the same model, trained without a curriculum

At step t a learner of competence c(t) = min(1, (t (1 - c_0^p) / T + c_0^p)^(1/p)) (Platanios et
al., 1903.09848) is offered, of each order, a batch out of the easiest share c(t), at least a batch.
Of the four it trains on the one with the highest perplexity. An epoch that begins with c(t) = 1,
where the orders have no more to say, is a pass over all studies.

Of the paper, abstract and introduction were at hand: which of the four is taken is a setting.
Stand-ins: a CheXpert-trained ResNet-50 gives d1 and d2 there; here the kept features of a frozen
CNN do, or else an 8 x 8 grid of means of each image, and the classifier is logistic, fitted on four
fifths of the studies for the fifth left out. Where a data set has no labels, a report without an
abnormal sentence is normal, and that is what the classifier tells. Left out: several processes.

Shapes: N training studies, I images a study, F features, K findings.
"""

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from rcan.config import Settings
from rcan.data.batches import Batch, StudyBatches
from rcan.data.grid_means import grid_means
from rcan.data.store import Split, Study
from rcan.evaluation.labelers import LABELERS, Labeler
from rcan.model.interface import ReportModel
from rcan.text.report_sentences import is_abnormal, sentences_of
from rcan.text.tokenizer import Tokenizer
from rcan.training.logistic import fit_logistic, logits_of
from rcan.training.loop import Lessons
from rcan.training.run_folder import load_weights

GRID = 8  # side of the means that stand for an image of which no features are kept
FOLDS = 5
LEAST = 10  # studies with a finding, and without it, for a classifier of it
NORMAL = 0.05  # of the studies, the least share that counts as normal
DECAY = 0.1  # of the classifier's squared weights, half of it beside its mean cross-entropy


def lessons(
    settings: Settings, studies: Split, batches: StudyBatches, words: Tokenizer, *,
    base: Path, fabric: Fabric,
) -> Lessons:  # fmt: skip
    """What an epoch trains on: the training studies in the curriculum's order.

    `base`: the best weights of `settings.base()`. Raises `UserError` if they are another model's.
    """
    remedy = "delete it and run again: it is trained first"
    trained = load_weights(base, settings.base(), len(words), remedy).to(fabric.device)
    told = Told.of(studies.studies, LABELERS.get(settings.data.name))
    images = pooled(batches)
    measures = (
        unlikeness(images, told.is_normal()),
        entropies(images.mean(1), told.findings, fold=np.argsort(np.argsort(told.ids)) % FOLDS),
        told.abnormal,
        surprise(trained, batches),
    )
    orders = [np.lexsort((told.ids, measure)) for measure in measures]  # ties by id

    def of_epoch(model: nn.Module, epoch: int) -> Iterator[Batch] | None:
        chosen = settings.curriculum
        before = settings.epochs_of(settings.family.pretrain_share)
        on_words = settings.train.epochs - before - settings.epochs_of(settings.reward.share)
        first = (epoch - 1 - before) * batches.num_batches
        until = chosen.share * on_words * batches.num_batches
        if not 0 <= first < until:
            return None
        return chosen_batches(model, batches, orders, epoch, first / until, 1 / until, settings)

    return of_epoch


class Told(NamedTuple):
    """What labels and reports tell of the training studies."""

    ids: np.ndarray  # (N,)
    abnormal: np.ndarray  # (N,) sentences
    findings: np.ndarray  # (N, K) 1 there, 0 not, NaN unknown
    burden: np.ndarray  # (N,): 0 normal, else how many findings; infinite: unknown

    @classmethod
    def of(cls, studies: Sequence[Study], labeler: Labeler | None) -> "Told":
        """By the labels where a labeler reads any of them, else by the reports' sentences."""
        rows = [(study.id, abnormal_sentences(study.text), study.labels) for study in studies]
        ids, abnormal = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        if labeler:
            known = [labels if labels is None else labeler.known(labels) for *_, labels in rows]
            if any(found is not None for found in known):
                unknown = [np.nan] * len(labeler.findings)
                findings = [
                    unknown if found is None else [name in found for name in labeler.findings]
                    for found in known
                ]
                burden = [
                    np.inf
                    if labels is None or found is None
                    else max(len(found), not labeler.normal(labels))
                    for found, (*_, labels) in zip(known, rows, strict=True)
                ]
                return cls(ids, abnormal, np.array(findings, float), np.array(burden))
        return cls(ids, abnormal, (abnormal > 0)[:, None].astype(float), abnormal)

    def is_normal(self) -> np.ndarray:
        """(N,) bool: no finding, or so few that a twentieth of the studies has no more."""
        least = np.sort(self.burden)[ceil(NORMAL * len(self.burden)) - 1]
        normal: np.ndarray = self.burden <= least
        return normal


def abnormal_sentences(text: str) -> int:
    """Sentences of a cleaned report that hold none of the words of a normal one."""
    return sum(map(is_abnormal, sentences_of(text)))


def pooled(batches: StudyBatches) -> np.ndarray:
    """(N, I, F): means of each image's kept map, or of a grid over its pixels."""
    parts = []
    for first in range(0, len(batches.source), 64):
        x = np.asarray(batches.source[first : first + 64], np.float64)
        means = grid_means(x, 1 if x.ndim == 4 else GRID)
        parts.append(means.reshape(len(x), -1))
    every: np.ndarray = np.concatenate(parts)[batches.rows]
    return every


def unlikeness(images: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """d1 (N,) of images (N, I, F): minus the mean cosine to all images of normal studies (N,)."""
    unit = images / np.linalg.norm(images, axis=-1, keepdims=True).clip(1e-12)
    centre = unit[normal].mean((0, 1))
    alike: np.ndarray = (unit * centre).sum(-1).mean(-1)  # the same for the same images, to the bit
    return -alike


def entropies(x: np.ndarray, findings: np.ndarray, *, fold: np.ndarray) -> np.ndarray:
    """d2 (N,): the summed entropies, in nats, of findings (N, K) as logistic regressions tell them
    of x (N, F) that were fitted on the other folds; fold (N,) numbers them.

    Findings that too few studies have, or lack, are left out; 0 for all if no finding is left.
    """
    known = ~np.isnan(findings).any(1)
    counts = findings[known].sum(0)
    y = findings[:, (counts >= LEAST) & (known.sum() - counts >= LEAST)]
    total = np.zeros(len(x))
    if y.shape[1]:
        for number in range(FOLDS):
            here, rest = fold == number, (fold != number) & known
            mean, deviation = x[rest].mean(0), x[rest].std(0).clip(1e-6)
            z = torch.from_numpy((x - mean) / deviation)
            weights = fit_logistic(z[rest], torch.from_numpy(y[rest]), DECAY)
            p = logits_of(z[here], weights).sigmoid()
            total[here] = (torch.special.entr(p) + torch.special.entr(1 - p)).sum(1).numpy()
    return total


def surprise(model: ReportModel, batches: StudyBatches) -> np.ndarray:
    """d4 (N,): -log p of each report, in nats."""
    parts = [
        unlikelihood(model, batch.to(model.device))[0].sum(1).cpu() for batch in batches.in_order()
    ]
    found: np.ndarray = torch.cat(parts).numpy()
    return found


@torch.no_grad()
def unlikelihood(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """-log p (B, T) of each word, in nats, 0 where it does not count; and whether it counts."""
    scored: Tensor = model.scored(batch)  # type: ignore[operator]
    logits = model(batch).logits.float().transpose(1, 2)
    loss = F.cross_entropy(logits, batch.tokens[:, 1:], reduction="none")
    return loss.masked_fill(~scored, 0.0), scored


def perplexity(model: nn.Module, batch: Batch) -> float:
    """The logarithm of the perplexity of a batch's words."""
    loss, scored = unlikelihood(model, batch)
    return float(loss.sum() / scored.sum().clamp(min=1))


def competence(t: float, *, start: float, power: float) -> float:
    """c at t, in parts of T: from c_0 = `start` at 0 to 1 at 1."""
    if t >= 1:
        return 1.0
    grown: float = (t * (1 - start**power) + start**power) ** (1 / power)
    return min(1.0, grown)


def chosen_batches(
    model: nn.Module, batches: StudyBatches, orders: Sequence[np.ndarray], epoch: int,
    t: float, dt: float, settings: Settings,
) -> Iterator[Batch]:  # fmt: skip
    """The batches of one epoch that begins at t and grows by dt a step, each chosen by the model as
    it is then among one of each of the orders (N,)."""
    chosen, train = settings.curriculum, settings.train
    buckets = train.length_buckets
    device = next(model.parameters()).device
    for step in range(batches.num_batches):
        c = competence(t + step * dt, start=chosen.start, power=chosen.power)
        share = max(batches.batch_size, ceil(c * len(batches)))
        numbers = [step % len(orders)] if chosen.choose == "cycle" else range(len(orders))
        some = [
            _drawn(batches, orders[k][:share], [train.seed, epoch, step, 1 + k], buckets).to(device)
            for k in numbers
        ]
        if chosen.choose == "cycle":
            yield some[0]
            continue
        model.eval()
        losses = [perplexity(model, batch) for batch in some]
        model.train()
        yield some[int(np.argmax(losses) if chosen.choose == "hardest" else np.argmin(losses))]


def _drawn(
    batches: StudyBatches, share: np.ndarray, seed: Sequence[int], length_buckets: int
) -> Batch:
    """A batch of the studies of `share`, each as likely as any other; out of so many batches' that
    are sorted by length, as one is of a pass over all."""
    rng = np.random.default_rng(seed)
    size = batches.batch_size
    pool = rng.permutation(share)[: size * length_buckets]
    pool = pool[: max(1, len(pool) // size) * size]
    pool = pool[np.argsort(batches.lengths[pool], kind="stable")]
    first = size * rng.integers(max(1, len(pool) // size))
    return batches.batch_of(pool[first : first + size], rng)
