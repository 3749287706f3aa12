"""What PPKED keeps of the training studies: how their images look, their reports, their topics."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rcan.data.batches import StudyBatches
from rcan.data.grid_means import grid_means
from rcan.data.knowledge import Learnt
from rcan.data.knowledge.topics import graph, topics_of_all
from rcan.data.store import Split
from rcan.errors import UserError
from rcan.text.tokenizer import Tokenizer

SIDE = 8  # of the grid to which an image is averaged where the CNN is trained


def learn(
    train: Split, batches: StudyBatches, words: Tokenizer, chosen: Mapping[str, Any]
) -> Learnt:
    """`features` (N, D) of length 1, `reports` (N, T) word ids and 0s, `graph` (20, 20); `topics`
    (N, 20) of studies where the family is first trained on them.

    Raises `UserError` for a single study, which has no other, or if topics are asked for and there
    are no labels.
    """
    if len(batches) < 2:
        raise UserError("PPKED retrieves other training studies: expected at least 2, found 1")
    features, rows = [], []
    for batch in batches.in_order():
        features.append(pooled(batch.images.numpy()))
        tokens = batch.tokens.numpy()
        rows += [row[row > words.eos_id] for row in tokens]  # words alone
    reports = np.zeros((len(rows), max(1, *map(len, rows))), dtype=np.int32)
    for kept, row in zip(reports, rows, strict=True):
        kept[: len(row)] = row
    found = np.concatenate(features)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    of_studies = {}
    if chosen["ppked"]["topic_share"]:
        of_studies["topics"] = topics_of_all(train.studies, "set ppked.topic_share to 0")
    return Learnt({"features": found, "reports": reports, "graph": graph()}, of_studies)


def pooled(images: np.ndarray) -> np.ndarray:
    """Kept features (B, I, C, h, w) -> their means (B, C); images (B, I, H, W) -> (B, I·8·8)."""
    if images.ndim == 5:
        means: np.ndarray = images.mean((1, 3, 4), dtype=np.float32)
        return means
    return grid_means(images, SIDE).reshape(len(images), -1)
