"""What studies share that they should not: equal images, and a patient in more than one split.

Nothing is left out for it, since a published split is kept as it is; it is told in the summary. A
report is no sign: half of IU X-ray's test reports occur word for word in train.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from rcan.data.selection import Problems
from rcan.data.study import RawImage, RawStudy, Study


def note_equal_images(
    splits: Mapping[str, Sequence[Study]],
    images: Mapping[str, Sequence[RawImage]],
    arrays: Mapping[str, Path],
    problems: Problems,
) -> None:
    """Note each image whose packed pixels are those of an earlier one, of whichever split.

    Only rows that a view points to count: those of unreadable images are all black.
    """
    earlier: dict[bytes, tuple[str, Study, int]] = {}

    def told(split: str, study: Study, row: int) -> str:
        return f"{split} {study.id}: {images[split][row].name}"

    for split, studies in splits.items():
        pixels = np.load(arrays[split], mmap_mode="r", allow_pickle=False)
        for study in studies:
            for view in study.views:
                place = split, study, view.row
                first = earlier.setdefault(
                    blake2b(pixels[view.row], digest_size=16).digest(), place
                )
                if first is not place:
                    kind = "image_twice" if first[0] == split else "image_in_two_splits"
                    problems.add(kind, f"{told(*place)} equals {told(*first)}")


def note_shared_patients(
    splits: Mapping[str, Sequence[Study]],
    selected: Mapping[str, Sequence[RawStudy]],
    problems: Problems,
) -> None:
    """Note each patient with studies in more than one split, where the source names patients."""
    patients = {study.id: study.patient for studies in selected.values() for study in studies}
    found: dict[str, dict[str, str]] = {}  # patient -> split -> its first study there
    for split, studies in splits.items():
        for study in studies:
            patient = patients[study.id]
            if patient is not None:
                found.setdefault(patient, {}).setdefault(split, study.id)
    for patient, first_of in found.items():
        if len(first_of) > 1:
            told = ", ".join(f"{split} {study_id}" for split, study_id in first_of.items())
            problems.add("patient_in_two_splits", f"{patient}: {told}")
