"""Tags of the training studies: the labels that came with the data set, where enough have them."""

from collections import Counter

import numpy as np

from rcan.data.labels import named_of_all
from rcan.data.store import Split
from rcan.errors import UserError


def tags_of(train: Split, least: int) -> np.ndarray:
    """Which of the tags that at least `least` studies have each study has, (N, tags) bool.

    Tags stand in alphabetical order, and are what labels name; a study without labels has none.
    Raises `UserError` when no study has labels, or no tag is that frequent.
    """
    found = named_of_all(train.studies, "choose another model.family")
    counts = Counter(head for heads in found for head in heads or ())
    tags = sorted(head for head, count in counts.items() if count >= least)
    if not tags:
        raise UserError(
            f"expected a label that at least {least} training studies have, found at most "
            f"{max(counts.values(), default=0)}; lower the family's least_studies"
        )
    return np.array([[tag in (heads or ()) for tag in tags] for heads in found])
