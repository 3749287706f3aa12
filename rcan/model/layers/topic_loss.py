"""Telling a study's topics, of which some may be unknown."""

import torch.nn.functional as F
from torch import Tensor


def topic_loss(logits: Tensor, true: Tensor) -> Tensor:
    """Binary cross-entropy of logits (B, L) against 1, 0 or -1 for unknown, (B, L): the mean over
    what is known; 0 where nothing is."""
    known = (true >= 0).float()
    told = F.binary_cross_entropy_with_logits(
        logits.float(), true.clamp(min=0).float(), weight=known, reduction="sum"
    )
    return told / known.sum().clamp(min=1)
