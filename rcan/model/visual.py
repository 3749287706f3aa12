"""From the CNN's map to the Transformer's input: RVE and patch features (§3.1-3.2, Eqs. 2-7).

As printed, Eq. 7 multiplies by K with ⊗; only the Hadamard product has matching shapes. The "skip
connections of residual blocks" are Eq. 7's own `V ⊕` unless `residual` is `inner`.

Shapes: B studies, I images a study, C channels, H x W map, S = I·H·W patches, d model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.dropout import Dropout


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


class PatchEmbedding(nn.Module):
    """Maps of a study's images to one row of patch features.

    `token_grid`: each map is first averaged to this side (None: kept). `positions`: None, or the
    side of the grid for which a learned place, and an embedding of each image's projection
    (0 unknown, 1 frontal, 2 lateral), are added.
    """

    NUM_PROJECTIONS = 3

    def __init__(
        self, channels: int, d_model: int, *, dropout: float,
        token_grid: int | None, positions: int | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.reduce = nn.Identity() if token_grid is None else nn.AdaptiveAvgPool2d(token_grid)
        self.project = nn.Sequential(nn.Linear(channels, d_model), nn.ReLU())
        self.dropout = Dropout(dropout)
        self.place: nn.Embedding | None = None
        self.projection: nn.Embedding | None = None
        if positions is not None:
            self.place = nn.Embedding(positions * positions, d_model)
            self.projection = nn.Embedding(self.NUM_PROJECTIONS, d_model)
            for table in (self.place, self.projection):
                nn.init.normal_(table.weight, std=0.02)

    def forward(self, V_hat: Tensor, projections: Tensor) -> Tensor:
        """V_hat (B·I, C, H, W), projections (B, I) int64 -> patch features (B, S, d)."""
        B, I = projections.shape
        x: Tensor = self.reduce(V_hat).flatten(2).transpose(1, 2)  # (B·I, H·W, C)
        x = self.project(x)  # (B·I, H·W, d)
        if self.place is not None and self.projection is not None:
            x = x + self.place.weight + self.projection(projections.view(B * I, 1))
        x = self.dropout(x).reshape(B, I * x.shape[1], -1)  # (B, S, d)
        return x


def build_adapter(channels: int) -> nn.Conv2d:
    """A 1x1 convolution of the map that starts as the identity."""
    adapter = nn.Conv2d(channels, channels, 1)
    nn.init.dirac_(adapter.weight)
    if adapter.bias is not None:
        nn.init.zeros_(adapter.bias)
    return adapter


def pooled_features(V: Tensor, num_images: int) -> Tensor:
    """Eq. 2, global average: (B·I, C, H, W) -> (B, I, C). (The paper prints H x W x C for it.)"""
    pooled: Tensor = V.mean((2, 3)).unflatten(0, (-1, num_images))
    return pooled
