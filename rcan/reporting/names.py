"""Names that tables, figures and the page share."""

from collections.abc import Sequence

from rcan.data.sets import TITLES


def data_name(name: str) -> str:
    return TITLES.get(name, name)


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
