"""What every family sees of a study: images, or features kept of a frozen CNN, to patch features.

Shapes: B studies, I images a study, N = B·I images, C channels, h x w map, S = I·h·w patches,
d model width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Model, Visual
from rcan.model.layers.dropout import Dropout
from rcan.model.visual.cnn import CNN, build_cnn, fold_batch_norm

NUM_PROJECTIONS = 3  # 0 unknown, 1 frontal, 2 lateral


class Seen(NamedTuple):
    """A batch's images, from map to patches."""

    V: Tensor  # (N, C, h, w): the CNN's map (Eq. 1), pooled, standardised, adapted
    V_hat: Tensor  # (N, C, h, w): recalibrated (Eq. 7)
    patches: Tensor  # (B, S, d)


class VisualExtractor(nn.Module):
    """CNN, pooling, standardisation, adapter, recalibration, patch embedding (§3.1-3.2).

    `recalibration`: from the number of channels to the module between map and patches (RCAN's
    RVE); None: none. With `visual.frozen` the CNN is not trained and may be skipped: `forward`
    takes its maps, kept beforehand, in the place of images. With `visual.blind` it sees nothing.
    """

    def __init__(
        self, visual: Visual, model: Model, *, pretrained: bool,
        recalibration: Callable[[int], nn.Module] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.takes_features, self.blind = visual.frozen, visual.blind
        self.crop, self.feature_pool = visual.crop, visual.feature_pool
        self.cnn = build_cnn(
            backbone=visual.backbone, last_layer=visual.last_layer, channels=visual.channels,
            weights=visual.weights if pretrained else "none", frozen=visual.frozen or visual.blind,
        )  # fmt: skip
        self.channels, self.map_side = self.cnn.map_shape(visual.crop)
        # Side of what is cut from what is read: pixels of an image, or cells of a kept map.
        self.window = visual.feature_window if visual.frozen else visual.crop
        pooled_side = -(-(visual.feature_window or self.map_side) // visual.feature_pool)
        self.grid = visual.token_grid or pooled_side  # side of an image's patches
        self.standardize = (
            nn.BatchNorm2d(self.channels, affine=False) if visual.standardize else nn.Identity()
        )
        self.adapter = build_adapter(self.channels) if visual.adapter else nn.Identity()
        self.rve = recalibration(self.channels) if recalibration else nn.Identity()
        self.patches = PatchEmbedding(
            self.channels, model.d_model, dropout=model.dropout, token_grid=visual.token_grid,
            positions=self.grid if model.patch_positions == "learned" else None,
        )  # fmt: skip

    def forward(self, images: Tensor, projections: Tensor, cnn: CNN | None = None) -> Seen:
        """What is seen of images (B, I, H, W) uint8, or of the CNN's features (B, I, C, h, w).

        `projections` (B, I) int64. `cnn`: one in the place of the extractor's own, by `folded`.
        """
        V = self._map(images, cnn or self.cnn)
        V_hat = self.rve(V)
        if self.blind:  # nor how many views of which kind there are
            projections = torch.zeros_like(projections)
        return Seen(V, V_hat, self.patches(V_hat, projections))

    def _map(self, images: Tensor, cnn: CNN) -> Tensor:
        x = images.flatten(0, 1)
        dtype = next(self.patches.parameters()).dtype
        if self.blind:
            side = x.shape[2:] if images.dim() == 5 else (self.map_side, self.map_side)
            V = torch.zeros(len(x), self.channels, *side, dtype=dtype, device=x.device)
        else:
            V = cnn(x) if images.dim() == 4 else x
        if self.feature_pool > 1:
            V = F.avg_pool2d(V, self.feature_pool, ceil_mode=True)
        if not torch.is_autocast_enabled(V.device.type):
            V = V.to(dtype)  # kept features are halves
        adapted: Tensor = self.adapter(self.standardize(V))
        return adapted

    def folded(self) -> CNN:
        """The CNN for generation: its batch norms folded, unless its maps are kept anyway."""
        return self.cnn if self.cnn.frozen else fold_batch_norm(self.cnn)

    def features(self) -> Callable[[Tensor], Tensor]:
        """From images (N, crop, crop) uint8 to the frozen CNN's maps, computed in float32 on every
        device, for a GPU's own way is coarser (TF32); they are kept in float16."""
        folded = fold_batch_norm(self.cnn)

        def maps(images: Tensor) -> Tensor:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                found: Tensor = folded(images)
                return found

        return maps

    def parameters_of_the_map(self) -> list[nn.Parameter]:
        """The trainable parameters behind V_hat."""
        parts = (self.cnn, self.adapter, self.rve)
        return [p for part in parts for p in part.parameters() if p.requires_grad]


class PatchEmbedding(nn.Module):
    """Maps of a study's images to one row of patch features.

    `token_grid`: each map is first averaged to this side (None: kept). `positions`: None, or the
    side of the grid for which a learned place, and an embedding of each image's projection
    (0 unknown, 1 frontal, 2 lateral), are added.
    """

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
            self.projection = nn.Embedding(NUM_PROJECTIONS, d_model)
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
