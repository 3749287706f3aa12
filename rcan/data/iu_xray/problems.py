"""What Open-i's indexers found in a study: the heads of its MeSH terms, `Problems` at Kaggle's."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rcan.reading import is_missing, read_csv

TABLE = "indiana_reports.csv"


def problems_of(terms: Iterable[str]) -> tuple[str, ...] | None:
    """`Hernia, Hiatal/large` -> `hernia, hiatal`, each once; None where nobody indexed it."""
    heads = (term.partition("/")[0].strip().lower() for term in terms)
    return tuple(dict.fromkeys(head for head in heads if not is_missing(head))) or None


def problems_of_row(row: Mapping[str, str]) -> tuple[str, ...] | None:
    """Those of a row of Kaggle's table; None in a table without them."""
    return problems_of(row.get("Problems", "").split(";"))


def problems_beside(root: Path) -> dict[str, tuple[str, ...] | None]:
    """Patient number -> problems, of Kaggle's table in `root`; nothing where there is none."""
    path = root / TABLE
    if not path.is_file():
        return {}
    rows = read_csv(path, {"uid": str}, "reports", "fetch it again, or remove it")
    return {row["uid"].strip(): problems_of_row(row) for row in reversed(rows)}
