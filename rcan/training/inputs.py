"""What a model is fed for one split: packed images, or the kept features of its frozen CNN."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.data.batches import PROJECTIONS, StudyBatches
from rcan.data.features import kept_features
from rcan.data.store import Split, first_views, read_summary
from rcan.files import digest_of
from rcan.model.cnn import CNN, fold_batch_norm
from rcan.text.tokenizer import Tokenizer

KEPT_FEATURES_VERSION = 2  # raise it when the way they are computed changes


def study_batches(
    split: Split, tokenizer: Tokenizer, settings: Settings, *,
    cnn: CNN, device: torch.device, processed: Path, root: Path, batch_size: int,
) -> StudyBatches:  # fmt: skip
    """Batches of `split`; a frozen CNN's features are kept in `root`/data/work/features."""
    visual = settings.visual
    if visual.frozen:
        source = _features(split, settings, cnn=cnn, device=device, processed=processed, root=root)
        window = visual.feature_window
    else:
        source, window = split.images, visual.crop
    num_views = settings.data.num_views
    projections = np.zeros((len(split.studies), num_views), dtype=np.int64)
    for row, study in zip(projections, split.studies, strict=True):
        row[:] = first_views([PROJECTIONS[view.projection] for view in study.views], num_views)
    tokens = (tokenizer.encode(s.text, settings.data.max_length) for s in split.studies)
    return StudyBatches(
        source, split.view_rows(num_views), projections, tokens,
        window=window, batch_size=batch_size, pad_id=tokenizer.pad_id,
    )  # fmt: skip


def _features(
    split: Split, settings: Settings, *, cnn: CNN, device: torch.device, processed: Path, root: Path
) -> np.memmap:
    visual = settings.visual
    what = {
        "images": read_summary(processed)["files"][f"{split.name}.npy"],
        "weights": _weights_digest(cnn),
        "visual": [visual.backbone, visual.last_layer, visual.crop],
        "version": KEPT_FEATURES_VERSION,
    }
    folder = root / "data" / "work" / "features" / digest_of(what)
    channels, side = cnn.map_shape(visual.crop)
    folded = fold_batch_norm(cnn).to(device)

    return kept_features(
        split, folder, extract=lambda images: maps_of(folded, images.to(device)),
        crop=visual.crop, map_shape=(channels, side, side),
    )  # fmt: skip


def maps_of(cnn: nn.Module, images: Tensor) -> Tensor:
    """A frozen CNN's maps, in float32 on every device: a GPU's own way is coarser (TF32)."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        maps: Tensor = cnn(images)
        return maps


def _weights_digest(cnn: CNN) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(cnn.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
