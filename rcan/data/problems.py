"""The record of what was wrong with a data set."""

from collections.abc import Iterable, Mapping
from typing import Any

MOST_LISTED = 20


class Problems:
    """What went wrong: kind -> how often (`counts`), and its first ids in order (`first`)."""

    def __init__(self, known: Mapping[str, Iterable[str]] | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[str]] = {}
        for kind, ids in (known or {}).items():
            for name in ids:
                self.add(kind, name)

    def add(self, kind: str, name: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        first = self.first.setdefault(kind, [])
        if len(first) < MOST_LISTED:
            first.append(name)

    def copy(self) -> "Problems":
        """The same so far; what is added to one is not to the other."""
        other = Problems()
        other.counts = dict(self.counts)
        other.first = {kind: list(first) for kind, first in self.first.items()}
        return other

    def summary(self) -> dict[str, dict[str, Any]]:
        """Count and first ids of each kind."""
        return {
            kind: {"count": count, "ids": list(self.first[kind])}
            for kind, count in self.counts.items()
        }
