"""The demo data set: drawn chest X-rays with findings, and reports that follow from the picture.

It checks the pipeline, not the paper.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from rcan.data.raw import RawDataSet, RawImage, RawStudy
from rcan.data.sets import DataSet, Source
from rcan.data.sets.demo_findings import FINDINGS, Seen, report_on, see
from rcan.data.sets.demo_phantom import Phantom
from rcan.data.store import PROJECTIONS, SPLITS, Split
from rcan.errors import UserError
from rcan.text.cleaning import clean_iu_xray

CHANGED = 12  # grey levels of 255; the grain is the same in both drawings
# A large heart, low lungs or a bent spine alter much of the picture: they have no place in it.
PLACED = {finding.name for finding in FINDINGS if not finding.alters_anatomy}


def demo_studies(
    *, num_train: int, num_val: int, num_test: int, seed: int, image_size: int
) -> list[RawStudy]:
    """Studies with a frontal and a lateral view, (image_size, image_size), drawn when read.

    Study k of a split depends on the seed, the split and k alone, not on how many there are.
    """
    counts = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))
    return [
        _study(seed, split, index, image_size) for split in SPLITS for index in range(counts[split])
    ]


def _study(seed: int, split: str, index: int, image_size: int) -> RawStudy:
    study_seed = (seed, SPLITS.index(split), index)
    rng = np.random.default_rng(study_seed)
    seen = see(rng)
    report = report_on(seen, rng)
    images = tuple(
        RawImage(
            name=f"{split}-{index:05d}-{projection}",
            read=partial(draw_view, seen, study_seed, projection, image_size),
            projection=projection,
            version=f"seed {seed}, {'; '.join(_labels(seen))}",
        )
        for projection in PROJECTIONS
    )
    return RawStudy(f"{split}-{index:05d}", split, report, images, _labels(seen))


def _labels(seen: Seen) -> tuple[str, ...]:
    return tuple("/".join((name, *attributes)) for name, attributes in seen.items())


def draw_view(seen: Seen, study_seed: tuple[int, ...], projection: str, size: int) -> np.ndarray:
    """One view as (size, size) uint8; the views of a study share their anatomy."""
    view = Phantom(size, projection, np.random.default_rng((*study_seed, 0)))
    present = [finding for finding in FINDINGS if finding.name in seen]
    for finding in present:
        if finding.alters_anatomy:
            finding.draw(view, *seen[finding.name])
    view.paint_anatomy()
    for finding in reversed(present):  # so that what is inside a lung lies over air and fluid
        if not finding.alters_anatomy:
            finding.draw(view, *seen[finding.name])
    return view.finish(np.random.default_rng((*study_seed, 1, PROJECTIONS.index(projection))))


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


def _read(source: Source) -> RawDataSet:
    return RawDataSet("demo", "drawn", demo_studies(**source.drawn))


DATA_SET = DataSet(
    read=_read,
    clean=clean_iu_xray,
    what="Drawn phantoms of chest X-rays with reports that follow from the drawing, made by "
    "this project. It has never seen an X-ray: what it writes about one means nothing.",
    terms="The data are made by this project; no patient is behind them.",
    min_freq=2,
    max_length=72,
)
