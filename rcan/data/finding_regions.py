"""Where a demo study shows each of its findings: the pixels that change when it is left out."""

from collections.abc import Sequence

import numpy as np

from rcan.data.demo import draw_view
from rcan.data.findings import FINDINGS
from rcan.data.store import Split
from rcan.data.study import SPLITS
from rcan.errors import UserError

CHANGED = 12  # grey levels of 255; the grain is the same in both drawings
# A large heart, low lungs or a bent spine alter much of the picture: they have no place in it.
PLACED = {finding.name for finding in FINDINGS if not finding.alters_anatomy}


def finding_regions(
    split: Split, index: int, *, seed: int, rows: Sequence[int]
) -> dict[str, np.ndarray]:
    """Label -> (rows, size, size) bool, for each of PLACED that study `index` of the demo has.

    `rows`: which of the split's images. `seed`: the one that the demo was drawn with.
    Raises `UserError` if the images are not those that the labels and the seed give.
    """
    study, size = split.studies[index], split.images.shape[-1]
    seen = {name: tuple(rest) for name, *rest in (x.split("/") for x in study.labels or ())}
    study_seed = (seed, SPLITS.index(split.name), int(study.id.rpartition("-")[2]))
    projections = {view.row: view.projection or "" for view in study.views}

    def drawn(row: int, without: str = "") -> np.ndarray:
        shown = {name: rest for name, rest in seen.items() if name != without}
        return draw_view(shown, study_seed, projections[row], size)

    whole = [drawn(row) for row in rows]
    if not all(
        np.array_equal(one, split.images[row]) for one, row in zip(whole, rows, strict=True)
    ):
        raise UserError(
            f"study {study.id}: expected the pictures that its labels and demo.seed {seed} give, "
            "found others; run `dvc repro preprocess`"
        )
    return {
        label: np.stack(
            [
                np.abs(one.astype(int) - drawn(row, without=name)) > CHANGED
                for one, row in zip(whole, rows, strict=True)
            ]
        )
        for label, name in zip(study.labels or (), seen, strict=True)
        if name in PLACED
    }
