"""Dropout, sooner on a CPU: four of its decisions from one 64-bit random number.

On a CPU drawing the mask is most of what dropout costs, a tenth of a training step at this model's
sizes; with 16 bits an element it takes 0.4 of the time. Any other device has its own fused kernel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """In training each element becomes 0 with probability `p`; the rest is divided by 1 - p.

    On a CPU `p` is rounded to a multiple of 2^-16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape -> the same shape."""
        return dropout(x, self.p, training=self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout(x: Tensor, p: float, *, training: bool) -> Tensor:
    """x, of any shape, with each element 0 with probability `p` < 1, the rest divided by 1 - p."""
    if not training or p == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped = min(round(p * 2**16), 2**16 - 1)  # of the 2^16 values of an int16
    numbers = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    numbers.random_(-(2**63), None)
    kept = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 2**15
    return (x * kept).mul_(2**16 / (2**16 - dropped))
