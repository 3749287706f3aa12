"""Tags of the training studies: the labels that came with the data set, where enough have them."""

from collections import Counter

import numpy as np

from rcan.data.store import Split
from rcan.errors import UserError

NORMAL = "normal"  # of a study whose labels name nothing, as IU X-ray's indexers call it
NOT_INDEXED = "no indexing"  # their word for a study that none of them read


def tags_of(train: Split, least: int) -> np.ndarray:
    """Which of the tags that at least `least` studies have each study has, (N, tags) bool.

    Tags stand in alphabetical order. `edema/uncertain` is no tag, `nodule/left` is `nodule`. A
    study without labels has no tag.
    Raises `UserError` when no study has labels, or no tag is that frequent.
    """
    found = [_heads(study.labels) for study in train.studies]
    if all(heads is None for heads in found):
        raise UserError(
            "expected labels of the training studies, which this family of models learns as tags; "
            "found none: for IU X-ray put Kaggle's indiana_reports.csv into the data's folder, for "
            "MIMIC-CXR mimic-cxr-2.0.0-chexpert.csv.gz, and run `dvc repro preprocess`"
        )
    counts = Counter(head for heads in found for head in heads or ())
    tags = sorted(head for head, count in counts.items() if count >= least)
    if not tags:
        raise UserError(
            f"expected a label that at least {least} training studies have, found at most "
            f"{max(counts.values(), default=0)}; lower the family's least_studies"
        )
    return np.array([[tag in (heads or ()) for tag in tags] for heads in found])


def _heads(labels: tuple[str, ...] | None) -> set[str] | None:
    if labels is None or NOT_INDEXED in labels:
        return None
    parts = [label.split("/") for label in labels or (NORMAL,)]
    return {head for head, *rest in parts if "uncertain" not in rest}
