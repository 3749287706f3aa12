"""Weakly supervised contrastive learning, WCL (§3.4, Eqs. 16-19).

Weak labels follow Zheng et al. (ICCV 2021): each study is joined to its nearest neighbour among the
*other* view's embeddings, and the connected components are the classes. Eq. 19 lacks a minus sign
in print, and as printed its denominator holds the negatives alone.

Shapes: B studies, C channels, D projection width; two views throughout.
"""

from math import ceil, log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeaklySupervisedContrastive(nn.Module):
    """F and φ of Eqs. 17-18 over two views of each study (Eq. 16).

    `views`: `images` (the study's two images) or `augment` (its first image twice, each time with
    its own feature dropout and Gaussian noise, seeds θ1 and θ2).
    """

    def __init__(
        self, channels: int, d_model: int, projection_dim: int, *,
        views: str, augment_dropout: float, augment_noise: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.use_images = views == "images"
        self.dropout, self.noise = augment_dropout, augment_noise
        self.encoder = nn.Sequential(nn.Linear(channels, d_model), nn.ReLU())  # F
        self.projection = nn.Sequential(  # φ
            nn.Linear(d_model, d_model, bias=False), nn.BatchNorm1d(d_model), nn.ReLU(),
            nn.Linear(d_model, d_model, bias=False), nn.BatchNorm1d(d_model), nn.ReLU(),
            nn.Linear(d_model, projection_dim, bias=False), nn.BatchNorm1d(projection_dim),
        )  # fmt: skip

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, I, C) -> embeddings p (2, B, D) of length 1."""
        if self.use_images:
            b = pooled[:, :2].transpose(0, 1)  # (2, B, C)
        else:
            b = torch.stack([self.augment(pooled[:, 0]) for _ in range(2)])  # Eq. 16
        h = self.encoder(b)  # Eq. 17, (2, B, d)
        # Both views share batch statistics, so that one study alone can be normalised too.
        p = self.projection(h.flatten(0, 1)).view(2, len(pooled), -1)  # Eq. 18
        return F.normalize(p, dim=-1)

    def augment(self, b: Tensor) -> Tensor:
        """A(b, θ): another random view of the features, at any time (dropout is part of it)."""
        return F.dropout(b, self.dropout) + self.noise * torch.randn_like(b)


def pooled_features(V: Tensor, num_images: int) -> Tensor:
    """Eq. 2, global average: (B·I, C, H, W) -> (B, I, C). (The paper prints H x W x C for it.)"""
    pooled: Tensor = V.mean((2, 3)).unflatten(0, (-1, num_images))
    return pooled


@torch.no_grad()
def weak_positives(p: Tensor) -> Tensor:
    """(B, D) -> (B, B) bool: whether two studies lie in one component of the 1-NN graph of `p`.

    Edges go to the nearest neighbour by cosine. Reachability by repeated squaring: log2(B) matrix
    products on the device, no loop over studies.
    """
    B = len(p)
    similarity = p @ p.T
    similarity.fill_diagonal_(float("-inf"))
    reachable = torch.eye(B, dtype=torch.bool, device=p.device)
    if B > 1:
        nearest = F.one_hot(similarity.argmax(1), B).bool()
        reachable |= nearest | nearest.T
        for _ in range(ceil(log2(B))):
            reachable = reachable.float() @ reachable.float() > 0
    return reachable


def contrastive_loss(p: Tensor, *, tau: float, denominator: str) -> Tensor:
    """L_WCL (Eq. 19) of embeddings p (2, B, D): the labels of each view come from the other.

    Mean over anchors, each the mean over its positives, of -log(exp(s/τ) / Σ exp(s'/τ)), the sum
    over the anchor's negatives (`negatives`, as printed) or over every other study (`all`: SupCon
    and the release). Anchors without positives or without negatives count for nothing; without any
    anchor the loss is exactly 0.
    """
    itself = torch.eye(p.shape[1], dtype=torch.bool, device=p.device)
    positive = torch.stack([weak_positives(p[1]), weak_positives(p[0])])  # (2, B, B)
    negative, positive = ~positive, positive & ~itself
    counted = ~itself if denominator == "all" else negative

    similarity = p @ p.transpose(1, 2) / tau  # (2, B, B)
    # A finite stand-in for -inf: rows without any counted study are dropped below, not NaN.
    log_sum = similarity.masked_fill(~counted, -1e9).logsumexp(-1)  # (2, B)
    num_positives = positive.sum(-1)
    mean_positive = (similarity * positive).sum(-1) / num_positives.clamp(min=1)  # (2, B)
    anchor = (num_positives > 0) & negative.any(-1)
    losses = (log_sum - mean_positive) * anchor
    return losses.sum() / anchor.sum().clamp(min=1)
