"""Settings to a model of the family that they name."""

from torch import nn

from rcan.config import Settings
from rcan.config.families import member
from rcan.model.interface import NOTHING, Knowledge, ReportModel


def build_model(
    settings: Settings, vocabulary_size: int, knowledge: Knowledge = NOTHING, *,
    pretrained: bool = True,
) -> ReportModel:  # fmt: skip
    """The model as the settings describe it, initialised from the global random state.

    `knowledge`: of the training studies, for a family that asks for it (`Family.learns`).
    `pretrained` False leaves the CNN random, for weights that a checkpoint will bring.
    Raises `UserError` when pretrained weights cannot be had.
    """
    build = member(f"rcan.model.families.{settings.model.family}", "build")
    asked = {"knowledge": knowledge} if settings.family.learns else {}
    model: ReportModel = build(settings, vocabulary_size, pretrained=pretrained, **asked)
    return model


def num_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
