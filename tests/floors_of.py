"""The floors that `evaluate` is given."""

from collections.abc import Container, Sequence

from rcan.data.store import Study
from rcan.evaluation.floors import choose_floors


def floors_of(
    train_texts: Sequence[str], val: Sequence[Study], vocabulary: Container[str], max_length: int
) -> dict[str, dict[str, str]]:
    """protocol -> floor -> its report."""
    texts = [study.text for study in val]
    kept = choose_floors(train_texts, texts, vocabulary=vocabulary, max_length=max_length)
    return dict(kept.reports)
