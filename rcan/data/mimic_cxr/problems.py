"""Errors that name no patient, and the record of what was met."""

from rcan.errors import UserError


class NamesNobodyError(UserError):
    """A message of file names, line numbers and fixed words: it may be shown anywhere."""


class Met:
    """What a reader met: kind -> the ids that it met it in."""

    def __init__(self) -> None:
        self.kinds: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        self.kinds.setdefault(kind, []).append(name)
