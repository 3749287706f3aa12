"""Where a demo study shows each of its findings: the pixels that change when it is left out."""

from collections.abc import Sequence

import numpy as np

from rcan.data.demo import draw_view
from rcan.data.store import Split
from rcan.data.study import SPLITS
from rcan.errors import UserError

CHANGED = 12  # grey levels of 255; the grain is the same in both drawings


def finding_regions(split: Split, index: int, *, seed: int, rows: Sequence[int]) -> np.ndarray:
    """(labels, rows, size, size) bool of study `index`, label by label.

    `rows`: which of the split's images. `seed`: the one that the demo was drawn with.
    Raises `UserError` if the images are not those that the labels and the seed give.
    """
    study, size = split.studies[index], split.images.shape[-1]
    labels = study.labels or ()
    seen = {name: tuple(attributes) for name, *attributes in (x.split("/") for x in labels)}
    study_seed = (seed, SPLITS.index(split.name), int(study.id.rpartition("-")[2]))
    projections = {view.row: view.projection or "" for view in study.views}
    regions = np.zeros((len(labels), len(rows), size, size), dtype=bool)
    for place, row in enumerate(rows):
        whole = draw_view(seen, study_seed, projections[row], size)
        if not np.array_equal(whole, split.images[row]):
            raise UserError(
                f"study {study.id}: expected the picture that its labels and demo.seed {seed} "
                "give, found another; run `dvc repro preprocess`"
            )
        for number, name in enumerate(seen):
            others = {other: seen[other] for other in seen if other != name}
            without = draw_view(others, study_seed, projections[row], size)
            regions[number, place] = np.abs(whole.astype(int) - without) > CHANGED
    return regions
