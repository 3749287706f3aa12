"""The report files: `p10/p10000032/s50414267.txt` in their own folder, or beside the images."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("mimic-cxr-reports/files", "mimic-cxr-reports", "files")
LARGEST = 1_000_000  # bytes read of a report; the longest has a few thousand
_GROUP, _PATIENT = re.compile("p[0-9]{2}"), re.compile("p([0-9]{3,12})")
_REPORT = re.compile(r"s([0-9]{1,12})\.txt")


def found_reports(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield patient, study and path of each report, in order, of the first folder that has any."""
    for name in FOLDERS:
        found = False
        for report in _reports_in(root / name):
            found = True
            yield report
        if found:
            return


def _reports_in(folder: Path) -> Iterator[tuple[str, str, str]]:
    for _, group in _named(folder, _GROUP):
        for patient, place in _named(group, _PATIENT):
            for study, path in _named(place, _REPORT):
                yield patient[1], study[1], path


def _named(folder: str | Path, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Entries of a folder whose whole name is like the pattern, in order; none if it is none."""
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if match := pattern.fullmatch(name):
            yield match, os.path.join(folder, name)


def read_report(path: str) -> tuple[str, bool]:
    """A report's text, and whether it is UTF-8; if not, it is taken for Latin-1."""
    with open(path, "rb") as file:
        content = file.read(LARGEST)
    try:
        return content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return content.decode("latin-1"), False
