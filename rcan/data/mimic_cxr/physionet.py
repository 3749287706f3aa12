"""PhysioNet's own files: the tables of MIMIC-CXR-JPG, its images, and MIMIC-CXR's reports."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from rcan.data.mimic_cxr.listing import ListedStudy, labels_beside, listed_studies
from rcan.data.mimic_cxr.pictures import image_folders, raw_image
from rcan.data.mimic_cxr.problems import Met
from rcan.data.mimic_cxr.reports import found_reports, read_report
from rcan.data.mimic_cxr.sections import BOTH, VIEWS, findings_of
from rcan.data.mimic_cxr.tables import find_table
from rcan.data.study import RawImage, RawStudy

NAME = "PhysioNet"
LOOKS_LIKE = (
    "mimic-cxr-2.0.0-split.csv.gz and -metadata.csv.gz with files/p10/p.../s.../*.jpg and "
    "mimic-cxr-reports/files/p10/p.../s*.txt"
)
NOT_READ = "not read"


def has_reports(root: Path) -> bool:
    return find_table(root, "split") is not None


def read(root: Path, *, texts: bool = True) -> tuple[list[RawStudy], Met]:
    """The studies of the official split that have findings, in its order, and the problems met.

    One without a report has the report "". Without `texts` no report is opened: each stands for
    NOT_READ, findings or not. Raises NamesNobodyError for damaged tables, OSError for a report
    that cannot be read.
    """
    met = Met()
    listed = listed_studies(root, met)
    reports = _reports(root, listed, met, texts)
    labels, folders = labels_beside(root), image_folders(root)
    studies = []
    for study in tqdm(listed.values(), desc="look for images", unit="study", disable=None):
        report = reports.get(study.id)
        if report is None:
            met.add("report_missing", study.id)
        elif not report:
            met.add("no_findings", study.id)
            continue
        images = _images(folders, study) if report else ()
        found = RawStudy(
            study.id, study.split, report or "", images, labels.get(study.id), study.patient
        )
        studies.append(found)
    return studies, met


def findings_in_sample(root: Path, most: int) -> tuple[int, int]:
    """How many of the first `most` reports have findings, and how many were looked into."""
    found = [findings_of(read_report(path)[0])[0] for *_, path in islice(found_reports(root), most)]
    return sum(map(bool, found)), len(found)


def _reports(root: Path, listed: dict[str, ListedStudy], met: Met, texts: bool) -> dict[str, str]:
    """Study id -> findings, "" where the report has none."""
    reports: dict[str, str] = {}
    with tqdm(total=len(listed), desc="read reports", unit="report", disable=None) as bar:
        for patient, study_id, path in found_reports(root):
            study = listed.get(study_id)
            if study is None or study.patient != patient:
                met.add("report_not_listed", study_id)
                continue
            reports[study_id] = _findings(path, study_id, met) if texts else NOT_READ
            bar.update()
    return reports


def _findings(path: str, study_id: str, met: Met) -> str:
    text, is_utf8 = read_report(path)
    if not is_utf8:
        met.add("report_not_utf8", study_id)
    findings, kind = findings_of(text)
    if kind == BOTH:
        met.add("findings_with_impression", study_id)
    elif kind == VIEWS:
        met.add("findings_under_views", study_id)
    return findings


def _images(folders: list[str], study: ListedStudy) -> tuple[RawImage, ...]:
    """The first image that has a file, behind those before it that have none."""
    return tuple(_up_to_the_first_file(folders, study))


def _up_to_the_first_file(folders: list[str], study: ListedStudy) -> Iterator[RawImage]:
    for name, projection in study.images:
        image = raw_image(folders, f"{study.place}/{name}", name, projection)
        yield image
        if image.version is not None:
            return
