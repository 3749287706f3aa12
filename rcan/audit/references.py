"""How many studies and words the references of a split have, counted in a file of them."""

from pathlib import Path

from rcan.audit.length import Corpus
from rcan.evaluation.protocols import reference
from rcan.scoring.score import MAX_LENGTH
from rcan.scoring.sets import Cleaner
from rcan.scoring.texts import read_annotation, read_texts


def count_references(path: Path, data: str, max_length: int | None) -> dict[str, Corpus]:
    """val and test of an annotation.json, test of any other file; `paper` references.

    Rare words become `<unk>` there, one for one, so a vocabulary would change nothing.

    Args:
        data: whose cleaner, and whose length where `max_length` is None.

    Raises:
        UserError: the file cannot be read.
    """
    splits = read_annotation(path)
    if splits is None:
        splits = {"test": read_texts(path, "references")}
    clean, longest = Cleaner(data), max_length or MAX_LENGTH[data]
    found: dict[str, Corpus] = {}
    for split in ("val", "test"):
        if split in splits:
            words = [
                len(reference(clean(text), "paper", (), longest).split())
                for text in splits[split].by_id.values()
            ]
            found[split] = Corpus(len(words), sum(words))
    return found
