"""A linear finding head: L2 logistic regression on a coarse grid of what the CNN sees.

A study is its views' maps, each averaged to a small grid, the frontal view first. One logistic
regression a finding is fitted on train by L-BFGS, with the penalty and the threshold that are best
on held-out folds of train.

Shapes: N studies, D features, R <= min(N, D) directions, K findings.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rcan.data.grid_means import grid_means
from rcan.data.store import Split, first_views
from rcan.training.logistic import fit_logistic, logits_of

FOLDS = 5
PENALTIES = (10.0, 1.0, 0.1, 0.01)  # of half the squared weights, beside the mean loss
_CHUNK = 256  # images averaged at once


def compute_on_one_thread() -> str:
    """Have torch compute on one thread: the same bits on any number of cores, busy or not.

    Returns what it then computes on, in the words of a training; their module depends on settings
    that shape nothing here.
    """
    torch.set_num_threads(1)
    return f"cpu {torch.backends.cpu.get_cpu_capability()}, 1 thread"


def study_features(split: Split, source: np.ndarray, num_views: int, side: int) -> np.ndarray:
    """(N, num_views · C · side²) float32: each view's map averaged to `side` x `side`.

    `source`: maps (n, C, h, w), or images (n, h, w), of which C is 1. Frontal views come first;
    of a study with too few views, the last is repeated.
    """
    chunks = (source[first : first + _CHUNK] for first in range(0, len(source), _CHUNK))
    means = np.concatenate([grid_means(np.asarray(chunk), side) for chunk in chunks])
    rows = []
    for study in split.studies:
        views = sorted(study.views, key=lambda view: view.projection != "frontal")
        rows.append(first_views([view.row for view in views], num_views))
    features: np.ndarray = means[np.array(rows)].reshape(len(rows), -1)
    return features


class Space:
    """The directions in which train studies differ, each feature brought to mean 0, deviation 1.

    L2 logistic regression on N studies never leaves the span of these N: so R weights stand for D.
    """

    def __init__(self, train: np.ndarray) -> None:
        X = torch.from_numpy(train)
        self._mean, spread = X.mean(0), X.std(0)
        self._spread = torch.where(spread > 0, spread, 1.0)
        X = (X - self._mean) / self._spread
        values, vectors = torch.linalg.eigh(X @ X.T)
        kept = values > 1e-6 * values[-1]
        lengths = values[kept].sqrt()
        self._axes = X.T @ (vectors[:, kept] / lengths)  # (D, R)
        self.train = vectors[:, kept] * lengths  # (N, R)

    def of(self, features: np.ndarray) -> Tensor:
        """(M, D) features of other studies -> (M, R)."""
        X = (torch.from_numpy(features) - self._mean) / self._spread
        projected: Tensor = X @ self._axes
        return projected


@dataclass(frozen=True)
class Head:
    """Weights (R + 1, K), the last row the biases, and a threshold a finding, (K,)."""

    weights: Tensor
    thresholds: Tensor

    def margins(self, Z: Tensor) -> np.ndarray:
        """(M, K): how far each logit lies above its threshold."""
        return (logits_of(Z, self.weights) - self.thresholds).numpy()


def fit_head(Z: Tensor, Y: Tensor, seed: int) -> tuple[Head, Tensor]:
    """The head of train studies Z (N, R) with findings Y (N, K) in 0 and 1, by folds of
    `seed`; and its held-out logits (N, K)."""
    fold = torch.from_numpy(np.random.default_rng(seed).permutation(len(Z)) % FOLDS)
    held_out = torch.empty(len(PENALTIES), *Y.shape)
    for number in range(FOLDS):
        rest, own = fold != number, fold == number
        for place, weights in enumerate(_fits(Z[rest], Y[rest])):
            held_out[place, own] = logits_of(Z[own], weights)
    losses = F.binary_cross_entropy_with_logits(
        held_out, Y.expand_as(held_out), reduction="none"
    ).mean(1)  # (penalties, K)
    chosen = losses.argmin(0)
    findings = torch.arange(Y.shape[1])
    logits = held_out[chosen, :, findings].T
    weights = torch.stack(_fits(Z, Y))[chosen, :, findings].T
    return Head(weights, best_thresholds(logits, Y)), logits


def _fits(Z: Tensor, Y: Tensor) -> list[Tensor]:
    """Weights (R + 1, K) under each penalty, the strongest first, each begun from the last."""
    found, weights = [], torch.zeros(Z.shape[1] + 1, Y.shape[1])
    for penalty in PENALTIES:
        weights = fit_logistic(Z, Y, penalty, weights)
        found.append(weights)
    return found


def best_thresholds(logits: Tensor, Y: Tensor) -> Tensor:
    """(K,): from which logit on a finding is said to be there so that its F1 is best."""
    found = []
    for of_finding, there in zip(logits.T, Y.T, strict=True):
        order = of_finding.argsort(descending=True)
        hits = there[order].cumsum(0)
        last = int((2 * hits / (torch.arange(1, len(hits) + 1) + there.sum())).argmax())
        found.append(of_finding[order[last : last + 2]].mean())  # half way to the next
    return torch.stack(found)
