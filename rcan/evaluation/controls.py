"""What overlap scores cannot see: the image swap, and studies scored apart.

Image swap: what the reports score that the model wrote from other studies' images. A model that
looks loses what the image told it; one that writes the same whatever it sees loses nothing. Given
the images of study j it writes prediction j, so no report is generated anew.

Studies apart: whether training held their very report, and whether all in them is normal. A report
that occurs word for word in training can be had by copying, and a normal one by writing what is
usual; only the others ask a model to look.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from rcan.data.store import Study
from rcan.evaluation.labelers import Labeler

SEED = 1  # every run is given the same wrong images, so that runs can be compared


def swap(predictions: Sequence[str]) -> list[str]:
    """For each study the prediction of another one, each used once (a study alone keeps its own).

    The studies stand in a ring in a fixed random order; each gets its neighbour's.
    """
    ring = np.random.default_rng(SEED).permutation(len(predictions))
    neighbour = dict(zip(ring.tolist(), np.roll(ring, 1).tolist(), strict=True))
    return [predictions[neighbour[study]] for study in range(len(predictions))]


def groups_of(
    studies: Sequence[Study], train_texts: Iterable[str], labeler: Labeler | None
) -> dict[str, np.ndarray]:
    """Group -> places (n,) of its n studies in `studies`; a group that nobody is in is left out.

    `in_train` and `not_in_train` share out all studies, `normal` and `abnormal` those whose labels
    say which.
    """
    train = {tuple(text.split()) for text in train_texts}
    seen = [tuple(study.text.split()) in train for study in studies]
    normal = [_is_normal(study, labeler) for study in studies]
    members = {
        "in_train": [each is True for each in seen],
        "not_in_train": [each is False for each in seen],
        "normal": [each is True for each in normal],
        "abnormal": [each is False for each in normal],
    }
    return {name: np.flatnonzero(each) for name, each in members.items() if any(each)}


def group_shares(
    studies: Sequence[Study], train_texts: Iterable[str], labeler: Labeler | None
) -> dict[str, float | int]:
    """`num_studies`; `in_train`, the share whose report is in train; `normal`, the share of normal
    ones among those whose labels say which (left out if none do)."""
    sizes = {name: len(rows) for name, rows in groups_of(studies, train_texts, labeler).items()}
    normal, abnormal = (sizes.get(name, 0) for name in ("normal", "abnormal"))
    shares = {"normal": normal / (normal + abnormal)} if normal + abnormal else {}
    return {
        "num_studies": len(studies), "in_train": sizes.get("in_train", 0) / len(studies), **shares
    }  # fmt: skip


def _is_normal(study: Study, labeler: Labeler | None) -> bool | None:
    if labeler is None or study.labels is None:
        return None
    return labeler.normal(study.labels)
