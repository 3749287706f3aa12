"""Where in a report its findings stand: the fewest words by which a labeler reads each.

It asks the labeler for parts of a sentence, so it works for any labeler and always agrees with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rcan.data.store import Study
from rcan.evaluation.labelers import Labeler


@dataclass(frozen=True)
class Mention:
    """A finding that words [start, end) of a cleaned report say there is.

    `label` is what a study's labels call it, with side, size and place where the labeler reads
    them; None when they are contradictory.
    """

    finding: str
    label: str | None
    start: int
    end: int


def mentions(text: str, labeler: Labeler) -> list[Mention]:
    """All findings that a cleaned report says there are, in its order, once a sentence."""
    words = text.split()
    found = []
    for first, last in _sentences(words):
        for finding in labeler.read(" ".join(words[first:last])):
            start, end = _fewest(words, first, last, finding, labeler)
            label = _label(" ".join(words[start:end]), finding, labeler)
            found.append(Mention(finding, label, start, end))
    return sorted(found, key=lambda mention: (mention.start, mention.end, mention.finding))


def truth(study: Study, labeler: Labeler) -> frozenset[str]:
    """The labels of what is there: as the study brings them, or as its own report says.

    Labels of an indexer name more than the report's findings, and may lack some of it: both count.
    """
    if labeler.read_exactly is not None:
        exact = study.labels
        return labeler.read_exactly(study.text) if exact is None else frozenset(exact)
    indexed = labeler.known(study.labels) if study.labels is not None else None
    return labeler.read(study.text) | (indexed or frozenset())


def label_of(finding: str, labels: frozenset[str], labeler: Labeler) -> str | None:
    """The label that stands for a finding; None if it is not there."""
    if labeler.read_exactly is None:
        return finding if finding in labels else None
    named = (label for label in sorted(labels) if labeler.known((label,)) == frozenset({finding}))
    return next(named, None)


def naming_word(mention: Mention, words: Sequence[str], named_by: Mapping[str, str]) -> int:
    """The number of the word that names the finding: the first of the mention that `named_by`
    knows for it, else the first of all."""
    names = named_by.get(mention.finding, "").split()
    inside = range(mention.start, mention.end)
    return next((number for number in inside if words[number] in names), mention.start)


def _sentences(words: Sequence[str]) -> list[tuple[int, int]]:
    """From and to, without the full stop."""
    ends = [number for number, word in enumerate(words) if word == "."]
    edges = zip([0, *(end + 1 for end in ends)], [*ends, len(words)], strict=True)
    return [(first, last) for first, last in edges if first < last]


def _fewest(
    words: Sequence[str], first: int, last: int, finding: str, labeler: Labeler
) -> tuple[int, int]:
    """The earliest end at which the finding is read, then the latest start."""

    def says(start: int, end: int) -> bool:
        return finding in labeler.read(" ".join(words[start:end]))

    end = next(end for end in range(first + 1, last + 1) if says(first, end))
    start = next(start for start in range(end - 1, first - 1, -1) if says(start, end))
    return start, end


def _label(text: str, finding: str, labeler: Labeler) -> str | None:
    if labeler.read_exactly is None:
        return finding
    return label_of(finding, labeler.read_exactly(text), labeler)
