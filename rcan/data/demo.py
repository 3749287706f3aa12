"""The demo data set: drawn chest X-rays with findings, and reports that follow from the picture.

It checks the pipeline, not the paper.
"""

from functools import partial

import numpy as np

from rcan.data.findings import FINDINGS, Seen, report_on, see
from rcan.data.phantom import Phantom
from rcan.data.raw import RawImage, RawStudy
from rcan.data.study import SPLITS

PROJECTIONS = ("frontal", "lateral")


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
