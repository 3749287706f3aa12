"""Settings to a model: the one place where all sizes meet."""

import torch
from torch import nn

from rcan.config import Settings
from rcan.model.cnn import build_cnn
from rcan.model.contrastive import WeaklySupervisedContrastive
from rcan.model.memory import CrossModalGatedMemory, NoMemory
from rcan.model.rcan import RCAN
from rcan.model.transformer import Decoder, Encoder
from rcan.model.visual import PatchEmbedding, RecalibratedVisualExtractor, build_adapter


def build_model(settings: Settings, vocabulary_size: int, *, pretrained: bool = True) -> RCAN:
    """RCAN as the settings describe it, initialised from the global random state.

    `pretrained` False leaves the CNN random, for weights that a checkpoint will bring.
    Raises `UserError` when pretrained weights cannot be had.
    """
    visual, model, wcl = settings.visual, settings.model, settings.wcl
    cnn = build_cnn(
        backbone=visual.backbone, last_layer=visual.last_layer, channels=visual.channels,
        weights=visual.weights if pretrained else "none", frozen=visual.frozen or visual.blind,
    )  # fmt: skip
    channels, map_side = cnn.map_shape(visual.crop)
    pooled_side = -(-(visual.feature_window or map_side) // visual.feature_pool)
    grid = visual.token_grid or pooled_side
    sizes = {"num_heads": model.num_heads, "d_ff": model.d_ff}
    return RCAN(
        cnn=cnn,
        feature_pool=visual.feature_pool,
        standardize=nn.BatchNorm2d(channels, affine=False) if visual.standardize else nn.Identity(),
        adapter=build_adapter(channels) if visual.adapter else nn.Identity(),
        blind=(channels, map_side, map_side) if visual.blind else None,
        rve=RecalibratedVisualExtractor(channels, **settings.rve.model_dump())
        if model.use_rve
        else nn.Identity(),
        patches=PatchEmbedding(
            channels, model.d_model, dropout=model.dropout, token_grid=visual.token_grid,
            positions=grid if model.patch_positions == "learned" else None,
        ),
        cgm=CrossModalGatedMemory(model.d_model, **settings.cgm.model_dump())
        if model.use_cgm
        else NoMemory(),
        encoder=Encoder(
            model.d_model, num_layers=model.num_encoder_layers, dropout=model.dropout, **sizes
        ),
        decoder=Decoder(
            model.d_model, num_layers=model.num_decoder_layers, dropout=model.dropout, **sizes
        ),
        contrastive=WeaklySupervisedContrastive(
            channels, model.d_model, wcl.projection_dim, views=wcl.views,
            augment_dropout=wcl.augment_dropout, augment_noise=wcl.augment_noise,
        )
        if model.use_wcl
        else None,
        contrast_recalibrated=wcl.features == "V_hat",
        num_positioned_patches=settings.data.num_views * grid**2
        if model.patch_positions == "sinusoidal"
        else 0,
        d_model=model.d_model,
        vocabulary_size=vocabulary_size,
        max_length=settings.data.max_length,
        dropout=model.dropout,
    )  # fmt: skip


def num_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def visual_parameters(model: RCAN) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The trainable parameters of the visual extractor, RVE included, and those of the rest."""
    parts = (model.cnn, model.adapter, model.rve)
    visual = [p for m in parts for p in m.parameters() if p.requires_grad]
    seen = {id(p) for p in visual}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in seen]
    return visual, rest
