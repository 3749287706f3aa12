"""The work that both sides are given: images, maps of a CNN, reports; and our way through it."""

import torch
from torch import Tensor

from benchmarks import models
from benchmarks.models import BEAMS, IDS, LONGEST, VOCABULARY
from rcan.generation.beam_search import beam_search
from rcan.model.interface import ReportModel

BATCH = 8
NEVER = -1e4  # logit of a word that is not to come


def images_of(device: str, num_studies: int = BATCH) -> tuple[Tensor, Tensor]:
    """Random images (B, 2, 224, 224) uint8 and projections (B, 2)."""
    generator = torch.Generator().manual_seed(0)
    shape = (num_studies, 2, models.PIXELS, models.PIXELS)
    images = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    return images.to(device), torch.zeros(num_studies, 2, dtype=torch.long, device=device)


def normalised(images: Tensor, model: ReportModel) -> Tensor:
    """Images as the peers want them, (B, 2, 3, H, W); our CNN does the same inside."""
    return (images.unsqueeze(2) / 255 - model.visual.cnn.mean) / model.visual.cnn.std


def features(num_studies: int, seed: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Maps (B, 2, C, 7, 7) as a CNN might give them, and projections (B, 2)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (num_studies, 2, models.CHANNELS)
    own = torch.rand(*shape, 1, 1, generator=generator) ** 4  # few channels are strong, as in a CNN
    noise = torch.rand(*shape, models.MAP_SIDE, models.MAP_SIDE, generator=generator)
    projections = torch.zeros(num_studies, 2, dtype=torch.long)
    return (4 * own + 0.2 * noise).to(device), projections.to(device)


def as_patches(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, 2, C, h, w) as the peers want them: pooled (B, 2·C), patches (B, S, C)."""
    return maps.mean((3, 4)).flatten(1), maps.flatten(3).transpose(2, 3).flatten(1, 2).contiguous()


def reports(device: str = "cpu", num_studies: int = BATCH) -> Tensor:
    """Full-length reports (B, 60), begin and end mark included."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(1, VOCABULARY, (num_studies, LONGEST), generator=generator)
    words[:, 0] = words[:, -1] = 0
    return words.to(device)


@torch.inference_mode()
def our_reports(model: ReportModel, maps: Tensor, projections: Tensor, prepared=None) -> Tensor:
    """Word ids (B, T); images in the place of maps will do too."""
    prepared = prepared or model.prepare()
    words, _ = beam_search(
        model.step, model.start(maps, projections, BEAMS, prepared), num_studies=len(maps),
        beam_size=BEAMS, max_length=model.max_length, device=maps.device, **IDS,
    )  # fmt: skip
    return words[0]


def endless_model(changes: dict, device: str) -> ReportModel:
    """Our generator with random weights; its beams differ and no report ends."""
    off = {"model.use_rve": False, "model.use_wcl": False, "visual.frozen": True}
    model = models.our_model({**off, **changes})
    with torch.no_grad():
        model.classifier.weight.mul_(4)
        model.classifier.bias[0] = NEVER
    return model.requires_grad_(False).to(device)  # FLOPs are not counted of weights with gradients
