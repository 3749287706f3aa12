"""MIMIC-CXR (Johnson et al., 2019) from PhysioNet's own files, or as R2Gen's annotation has it.

The two differ, and each keeps its own way. PhysioNet's files give one study a report, with one
image (§4.1.2 of the paper), so that every report counts once in a score and an interval over
studies is one. R2Gen's annotation has one record an image, several of them with the same report: it
is read as it stands, since that is what published scores were computed on.
"""

import sqlite3
from pathlib import Path

from rcan.data.raw import RawDataSet
from rcan.data.sets import DataSet
from rcan.data.sets.mimic_cxr import physionet, r2gen
from rcan.errors import NamesNobodyError
from rcan.text.cleaning import clean_mimic_cxr

LAYOUTS = (r2gen, physionet)
SOURCES = (
    "PhysioNet, which asks for credentialed access: https://physionet.org/content/mimic-cxr-jpg "
    "(tables and images) and https://physionet.org/content/mimic-cxr (mimic-cxr-reports.zip)"
)
RULES = (
    "PhysioNet: a study counts once, with one image: a frontal one (AP, PA) before one of another "
    "or unknown view before a lateral one, of several the first in the metadata, and the next "
    "where that one has no file",
    "R2Gen: a record counts once, with its first image; its annotation has one record an image",
    "report: the findings section; the last one that holds text, under FINDINGS before LUNG "
    "FINDINGS and such; another text in an earlier one is left out (findings_cut)",
    "no_findings: a study whose report has no such section is left out",
    "findings_with_impression: text under FINDINGS AND IMPRESSION is taken whole",
    "findings_under_views: without FINDINGS, text under the name of the views is taken",
    "findings_cut: text behind the findings under a heading that no section usually has, or that "
    "names views or other findings, is left out",
    "split: the official one; split_differs: the first split told of a study holds",
    "report_missing, no_report: a study without a report, or with full stops or a word for nothing "
    "(nan, null, N/A) alone, is left out",
    "report_not_listed: a report whose study is not in the split is left out",
    "report_not_utf8: a report that is not UTF-8 is read as Latin-1",
    "report_of_another_image: a record of a study that has one already is kept",
    "duplicate_id, duplicate_row: the first is kept",
    "no_frontal, image_not_in_metadata: the study is kept with what it has",
    "image_missing: the next image of the study is read; no_image: without any it is left out",
    "image_unreadable: the study is left out; a black row, to which no view points, is left",
    "image_surplus: of more than one image of a record, the first is read",
    "report_long: a report of more than 500 words is kept; training reads its first words alone",
    "image_twice, image_in_two_splits: an image equal to an earlier one, once packed, is kept",
    "patient_in_two_splits: the studies are kept, for the split is the one that others compare on",
)


def findings_in_sample(root: Path, layout: str, most: int = 400) -> tuple[int, int] | None:
    """How many of the first reports have findings, and of how many; None where a list tells."""
    return physionet.findings_in_sample(root, most) if layout == physionet.NAME else None


def read_mimic_cxr(root: Path, database: sqlite3.Connection, *, texts: bool = True) -> RawDataSet:
    """Read whatever layout `root` holds, R2Gen's first; an image without a file has no version.

    The studies lie in `database`, a scratch one, until they are asked for. Without `texts`
    PhysioNet's reports are not opened, see `physionet.read`. Raises NamesNobodyError when there is
    no layout, UserError when its files are damaged.
    """
    found = [layout for layout in LAYOUTS if layout.has_reports(root)]
    for layout in found:
        studies, problems = (
            physionet.read(root, database, texts=texts)
            if layout is physionet
            else r2gen.read(root, database)
        )
        if studies.has_image:
            return RawDataSet("mimic_cxr", layout.NAME, studies, problems)
    raise NamesNobodyError(_none_found(root, [layout.NAME for layout in found]))


def _none_found(root: Path, without: list[str]) -> str:
    if not root.is_dir():
        came = "no such folder"
    elif without:
        came = f"the list of {' and '.join(without)} but no report with an image that it names"
    else:
        came = "neither"
    looks = "; or ".join(f"{layout.LOOKS_LIKE} ({layout.NAME})" for layout in LAYOUTS)
    return (
        f"{root.absolute()}: expected MIMIC-CXR as {looks}; found {came}; set data.root, "
        f"or get the data from {SOURCES}"
    )


DATA_SET = DataSet(
    read=lambda source: read_mimic_cxr(source.root, source.database, texts=source.texts),
    clean=clean_mimic_cxr,
    what="Chest X-rays and reports of Beth Israel Deaconess Medical Center (PhysioNet). "
    "A. E. W. Johnson et al., MIMIC-CXR, Sci Data 2019;6:317, and MIMIC-CXR-JPG, arXiv:1901.07042; "
    "A. L. Goldberger et al., PhysioNet, Circulation 2000;101(23):e215-e220. Scores on "
    "PhysioNet's studies and on R2Gen's records of it do not compare.",
    terms="The data are under the PhysioNet Credentialed Health Data License 1.5.0 and its "
    "data use agreement (https://physionet.org/content/mimic-cxr), which also bear on what is "
    "derived from them: hand it on to people with credentialed access alone.",
    min_freq=10,
    max_length=100,
    restricted=True,
    rules=RULES,
    sample=findings_in_sample,
)
