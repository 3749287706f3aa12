"""What a report says that there is, as a set of findings, and what a study's labels say."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Labeler:
    """Names findings in the reports of one data set, and in the labels that it brings."""

    name: str  # of the method, for whoever reads its scores
    findings: tuple[str, ...]  # in the order in which tables list them
    read: Callable[[str], frozenset[str]]  # those that a cleaned report says there are
    known: Callable[[tuple[str, ...]], frozenset[str] | None]  # of a study's labels; None: unknown
    normal: Callable[[tuple[str, ...]], bool | None]  # whether they say that all is normal
    read_exactly: Callable[[str], frozenset[str]] | None = None  # labels with side, size and place
