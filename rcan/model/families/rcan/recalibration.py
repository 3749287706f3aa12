"""Recalibrated visual extractor, RVE (§3.2, Eqs. 3-7): attention over channels and places of a map.

As printed, Eq. 7 multiplies by K with ⊗; only the Hadamard product has matching shapes. The "skip
connections of residual blocks" are Eq. 7's own `V ⊕` unless `residual` is `inner`.

Shapes: N images, C channels, H x W map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RecalibratedVisualExtractor(nn.Module):
    """RVE (§3.2): channel and spatial attention recalibrate the map. The release calls it RAM.

    `residual`: `outer` (K = ReLU(f_r(V))) or `inner` (K = ReLU(V + f_r(V))).
    `spatial`: `depthwise` (one map a channel, Eq. 6) or `single` (one for all, as the release).
    `bottleneck`: None for C -> C convolutions as printed, or the width of a 1x1 -> 3x3 -> 1x1.
    """

    def __init__(
        self, channels: int, *, residual: str, spatial: str, reduction: int, bottleneck: int | None
    ) -> None:
        super().__init__()
        if bottleneck is None:
            self.f_r = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
        else:
            self.f_r = nn.Sequential(
                nn.Conv2d(channels, bottleneck, 1),
                nn.ReLU(),
                nn.Conv2d(bottleneck, bottleneck, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(bottleneck, channels, 1),
            )
        narrow = max(1, channels // reduction)
        self.channel_attention = nn.Sequential(
            nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, channels, 1)
        )
        if spatial == "depthwise":
            self.spatial_attention = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        else:
            self.spatial_attention = nn.Conv2d(channels, 1, 3, padding=1)
        self.inner_skip = residual == "inner"
        self.to(memory_format=torch.channels_last)  # its convolutions are fastest so

    def forward(self, V: Tensor) -> Tensor:
        """V (N, C, H, W) -> V_hat of the same shape."""
        K = self.f_r(V)
        K = F.relu(V + K if self.inner_skip else K)  # Eq. 3, (N, C, H, W)
        X = K.mean((2, 3), keepdim=True)  # Eq. 4, (N, C, 1, 1)
        M_C = self.channel_attention(X).sigmoid()  # Eq. 5, (N, C, 1, 1)
        M_S = self.spatial_attention(K)  # Eq. 6, (N, C, H, W)
        V_hat: Tensor = V + (M_C + M_S).sigmoid() * K  # Eq. 7, (N, C, H, W)
        return V_hat
