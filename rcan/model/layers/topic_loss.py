"""Losses of which only some count: topics that may be unknown, words that may not be asked for."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rcan.model.interface import Together


def mean_of(losses: Tensor, counted: Tensor, together: Together) -> Tensor:
    """The mean of those losses that are `counted` (bool, same shape), over all processes; 0 where
    none is."""
    mean = (losses * counted).sum() / counted.sum().clamp(min=1)
    share = torch.as_tensor(together.share_of_tokens(counted.long(), pad_id=0), device=mean.device)
    return mean * share.nan_to_num(0.0)  # of none anywhere there is no share


def topic_loss(logits: Tensor, true: Tensor, together: Together) -> Tensor:
    """Binary cross-entropy of logits (B, L) against 1, 0 or -1 for unknown, (B, L): the mean over
    what is known; 0 where nothing is."""
    told = F.binary_cross_entropy_with_logits(
        logits.float(), true.clamp(min=0).float(), reduction="none"
    )
    return mean_of(told, true >= 0, together)
