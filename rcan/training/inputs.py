"""What a model is fed for one split: packed images, or the kept features of its frozen CNN."""

import hashlib
from pathlib import Path

import numpy as np

from rcan.config import Settings
from rcan.data.batches import PROJECTION_IDS, StudyBatches
from rcan.data.features import kept_features
from rcan.data.store import Split, first_views, read_summary
from rcan.files import digest_of
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor
from rcan.text.tokenizer import Tokenizer

KEPT_FEATURES_VERSION = 2  # raise it when the way they are computed changes


def study_batches(
    split: Split, tokenizer: Tokenizer, settings: Settings, *,
    visual: VisualExtractor, processed: Path, root: Path, batch_size: int,
) -> StudyBatches:  # fmt: skip
    """Batches of `split`; a frozen CNN's features are kept in `root`/data/work/features."""
    source = split.images
    if visual.takes_features:
        source = _features(split, settings, visual, processed=processed, root=root)
    num_views = settings.data.num_views
    projections = np.zeros((len(split.studies), num_views), dtype=np.int64)
    for row, study in zip(projections, split.studies, strict=True):
        row[:] = first_views([PROJECTION_IDS[view.projection] for view in study.views], num_views)
    tokens = (tokenizer.encode(s.text, settings.data.max_length) for s in split.studies)
    return StudyBatches(
        source, split.view_rows(num_views), projections, tokens,
        window=visual.window, batch_size=batch_size, pad_id=tokenizer.pad_id,
    )  # fmt: skip


def _features(
    split: Split, settings: Settings, visual: VisualExtractor, *, processed: Path, root: Path
) -> np.memmap:
    chosen = settings.visual
    what = {
        "images": read_summary(processed)["files"][f"{split.name}.npy"],
        "weights": _weights_digest(visual.cnn),
        "visual": [chosen.backbone, chosen.last_layer, chosen.crop],
        "version": KEPT_FEATURES_VERSION,
    }
    folder = root / "data" / "work" / "features" / digest_of(what)
    extract, device = visual.features(), visual.cnn.mean.device
    return kept_features(
        split, folder, extract=lambda images: extract(images.to(device)), crop=visual.crop,
        map_shape=(visual.channels, visual.map_side, visual.map_side),
    )  # fmt: skip


def _weights_digest(cnn: CNN) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(cnn.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
