"""PPKED's explorers: who asks whom, and the training studies whose images are most alike.

T̂ = FFN(MHA(I, T)), Î = FFN(MHA(T̂, I)), I′ = LN(T̂ + Î)        posterior: I patches, T topics
W′ = FFN(MHA(I′, W)), G′ = FFN(MHA(I′, G))                     prior: W reports, G graph

Shapes: B studies, S patches, L of what is asked, R reports, N training studies, D of pooled
features, d model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.layers.dropout import Dropout
from rcan.model.layers.transformer import Attention, feed_forward


class Explorer(nn.Module):
    """FFN(MHA(x, y)), after each of which come dropout, a shortcut and a layer norm."""

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(d_model, num_heads, dropout)
        self.feed_forward = feed_forward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """x (B, S, d) asks keys and values (B or 1, h, L, d_k), by `attention`, -> (B, S, d)."""
        keys, values = (z.expand(len(x), -1, -1, -1) for z in (keys, values))
        x = self.norms[0](x + self.dropout(self.attention(x, keys, values)))
        x = self.norms[1](x + self.dropout(self.feed_forward(x)))
        return x


class Posterior(nn.Module):
    """Patches see topics, topics see patches: I -> I′."""

    def __init__(
        self, num_topics: int, d_model: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.topics = nn.Parameter(torch.randn(num_topics, d_model) * d_model**-0.5)
        self.of_topics, self.of_patches = (
            Explorer(d_model, num_heads, d_ff, dropout) for _ in range(2)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, S, d) -> the same shape."""
        topics = self.of_topics.attention.keys_values(self.topics.unsqueeze(0))
        told = self.of_topics(patches, *topics)
        seen = self.of_patches(told, *self.of_patches.attention.keys_values(patches))
        explored: Tensor = self.norm(told + seen)
        return explored


class Graph(nn.Module):
    """G: two layers of a graph convolution (Kipf & Welling, 1609.02907) over the topics."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(d_model, d_model) for _ in range(2))

    def forward(self, topics: Tensor, joined: Tensor) -> Tensor:
        """topics (L, d), joined (L, L) -> (1, L, d)."""
        x = joined @ self.layers[0](topics).relu()
        nodes: Tensor = joined @ self.layers[1](x)
        return nodes.unsqueeze(0)


def pooled(images: Tensor) -> Tensor:
    """Features (B, I, C, h, w) -> their means (B, C); images (B, I, H, W) -> 8 x 8 of each."""
    x = images.float()
    return x.mean((1, 3, 4)) if images.dim() == 5 else F.adaptive_avg_pool2d(x, 8).flatten(1)


def nearest(features: Tensor, table: Tensor, number: int, own: Tensor | None) -> Tensor:
    """Training studies by cosine: features (B, D), table (N, D) of length 1 -> numbers (B, R).

    R: `number`, or N - 1 where that is less. `own` (B,): the study itself, which is left out.
    """
    with torch.autocast(features.device.type, enabled=False):
        alike = F.normalize(features.float(), dim=1) @ table.T
    if own is not None:
        alike = alike.scatter(1, own.unsqueeze(1), float("-inf"))
    return alike.topk(min(number, len(table) - 1)).indices
