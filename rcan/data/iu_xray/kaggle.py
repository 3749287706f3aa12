"""Kaggle's copy: `indiana_reports.csv` and `images/images_normalized/2384_IM-….dcm.png`.

The projections of `indiana_projections.csv` are already in the list of studies.
"""

from pathlib import Path

from rcan.data.iu_xray.listing import FoundStudy, ListedStudy, first_file
from rcan.data.iu_xray.problems import TABLE, problems_of_row
from rcan.errors import name_shown
from rcan.reading import read_csv

NAME = "Kaggle"
LOOKS_LIKE = "indiana_reports.csv with images/images_normalized/*.dcm.png"


def has_reports(root: Path) -> bool:
    return (root / TABLE).is_file()


def read(
    root: Path, listed: list[ListedStudy]
) -> tuple[dict[str, FoundStudy], dict[str, list[str]]]:
    """Listed studies found under `root` by id. Raises UserError for a damaged table."""
    rows, twice = _rows(root / TABLE)
    folders = (root / "images" / "images_normalized", root / "images")
    found = {}
    for study in listed:
        if row := rows.get(study.number):
            images = tuple(
                first_file(folder / f"{stem}{end}" for folder in folders for end in _ENDINGS)
                for stem in study.stems
            )
            found[study.id] = FoundStudy(row["findings"], images, problems_of_row(row))
    return found, {"duplicate_id": twice}


_ENDINGS = (".dcm.png", ".dcm.jpg", ".png", ".jpg")


def _rows(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Rows by patient number, of several the first; and the numbers that stand twice."""
    rows: dict[str, dict[str, str]] = {}
    twice = []
    for row in read_csv(path, {"uid": str, "findings": str}, "reports", "fetch it again"):
        number = row["uid"].strip()
        if number in rows:
            twice.append(name_shown(number))
        else:
            rows[number] = row
    return rows, twice
