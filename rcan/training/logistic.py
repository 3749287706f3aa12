"""L2 logistic regressions, all at once: mean cross-entropy + penalty / 2 · squared weights each.

Shapes: N studies, F features, K regressions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def fit_logistic(x: Tensor, y: Tensor, penalty: float, start: Tensor | None = None) -> Tensor:
    """Weights (F + 1, K), the last row the biases, of y (N, K) in 0 and 1 on x (N, F).

    Fitted by L-BFGS, begun from the weights `start`, or else from 0.
    """
    # In these units the loss is about equally curved in all directions: a few steps are enough.
    curvature = torch.cat([x.square().mean(0) / 4 + penalty, x.new_tensor([0.25])])
    unit = curvature.rsqrt().unsqueeze(1)  # (F + 1, 1)
    start = x.new_zeros(x.shape[1] + 1, y.shape[1]) if start is None else start
    scaled = (start / unit).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scaled], max_iter=100, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        weights = scaled * unit
        each = F.binary_cross_entropy_with_logits(logits_of(x, weights), y, reduction="none")
        total: Tensor = (each.mean(0) + penalty / 2 * weights[:-1].square().sum(0)).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return scaled.detach() * unit


def logits_of(x: Tensor, weights: Tensor) -> Tensor:
    """(N, K) of features (N, F) and weights (F + 1, K)."""
    return x @ weights[:-1] + weights[-1]
