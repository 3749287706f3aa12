"""PhysioNet's own files: the tables of MIMIC-CXR-JPG, its images, and MIMIC-CXR's reports.

A report is `p10/p10000032/s50414267.txt`, in a folder of its own or beside the images.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from rcan.data.raw import Problems
from rcan.data.sets.mimic_cxr.catalogue import Catalogue, Picture, find_picture, image_folders
from rcan.data.sets.mimic_cxr.physionet_tables import ListedStudy, Listing, find_table
from rcan.data.sets.mimic_cxr.report_sections import BOTH, VIEWS, findings_of

NAME = "PhysioNet"
LOOKS_LIKE = (
    "mimic-cxr-2.0.0-split.csv.gz and -metadata.csv.gz with files/p10/p.../s.../*.jpg and "
    "mimic-cxr-reports/files/p10/p.../s*.txt"
)
NOT_READ = "not read"
REPORT_FOLDERS = ("mimic-cxr-reports/files", "mimic-cxr-reports", "files")
LARGEST = 1_000_000  # bytes read of a report; the longest has a few thousand
_GROUP, _PATIENT = re.compile("p[0-9]{2}"), re.compile("p([0-9]{3,12})")
_REPORT = re.compile(r"s([0-9]{1,12})\.txt")


def has_reports(root: Path) -> bool:
    return find_table(root, "split") is not None


def read(
    root: Path, database: sqlite3.Connection, *, texts: bool = True
) -> tuple[Catalogue, Problems]:
    """The studies of the official split that have findings, in its order, and the problems met.

    One without a report has the report "". Without `texts` no report is opened: each stands for
    NOT_READ, findings or not. Raises NamesNobodyError for damaged tables, OSError for a report
    that cannot be read.
    """
    problems = Problems()
    listing = Listing(root, database, problems)
    _find_reports(root, listing, problems)
    folders = image_folders(root)
    catalogue = Catalogue(database)
    studies = listing.studies(problems)
    for study in tqdm(studies, total=len(listing), desc="read studies", unit="study", disable=None):
        if study.report is None:
            problems.add("report_missing", study.id)
            report = ""
        else:
            report = _findings(study.report, study.id, problems) if texts else NOT_READ
            if not report:
                problems.add("no_findings", study.id)
                continue
        pictures = _up_to_the_first_file(folders, study) if report else ()
        catalogue.add(study.id, study.split, report, pictures, study.labels, study.patient)
    return catalogue, problems


def findings_in_sample(root: Path, most: int) -> tuple[int, int]:
    """How many of the first `most` reports have findings, and how many were looked into."""
    found = [findings_of(read_report(path)[0]) for *_, path in islice(found_reports(root), most)]
    return sum(bool(one.text) for one in found), len(found)


def _find_reports(root: Path, listing: Listing, problems: Problems) -> None:
    with tqdm(total=len(listing), desc="find reports", unit="report", disable=None) as bar:
        for patient, study_id, path in found_reports(root):
            if listing.add_report(patient, study_id, path):
                bar.update()
            else:
                problems.add("report_not_listed", study_id)


def _findings(path: str, study_id: str, problems: Problems) -> str:
    text, is_utf8 = read_report(path)
    if not is_utf8:
        problems.add("report_not_utf8", study_id)
    found = findings_of(text)
    if found.kind == BOTH:
        problems.add("findings_with_impression", study_id)
    elif found.kind == VIEWS:
        problems.add("findings_under_views", study_id)
    if found.is_cut:
        problems.add("findings_cut", study_id)
    return found.text


def _up_to_the_first_file(folders: list[str], study: ListedStudy) -> Iterator[Picture]:
    """The first image that has a file, behind those before it that have none."""
    for name, projection in study.images:
        picture = find_picture(folders, f"{study.place}/{name}", name, projection)
        yield picture
        if picture.version is not None:
            return


def found_reports(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield patient, study and path of each report, in order, of the first folder that has any."""
    for name in REPORT_FOLDERS:
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
