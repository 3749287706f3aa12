"""The three layouts in which IU X-ray is handed round: R2Gen's, Open-i's own and Kaggle's.

The split, the order and the views of its studies are those of R2Gen's annotation and ship beside
this file as `iu_xray_studies.csv`, which holds no report text.
"""

import codecs
import csv
import os
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rcan.data.store import SPLITS
from rcan.errors import UserError, name_shown, shown
from rcan.reading import is_missing, read_bytes, read_csv, read_json

STUDIES = Path(__file__).with_name("iu_xray_studies.csv")
NUM_VIEWS = 2  # of a listed study
KAGGLE_TABLE = "indiana_reports.csv"
_OF_OPENI = (".png", ".jpg")
_OF_KAGGLE = (".dcm.png", ".dcm.jpg", ".png", ".jpg")
_ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "windows-1252")  # of Open-i's XML
_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*\bencoding\s*=\s*["']([\w.-]+)""")


@dataclass(frozen=True)
class ListedStudy:
    """One study of R2Gen's split; `stems` name its two images as Open-i and Kaggle do."""

    id: str  # "CXR2384_IM-0942"
    split: str
    stems: tuple[str, ...]  # "2384_IM-0942-1001", ...
    projections: tuple[str | None, ...]  # "frontal", "lateral" or unknown

    @property
    def number(self) -> str:
        """The patient number by which Open-i and Kaggle name the report: "2384"."""
        return self.id.removeprefix("CXR").partition("_")[0]


@dataclass(frozen=True)
class FoundStudy:
    """What a layout has of a listed study; an image's path may lead to no file."""

    report: str
    image_paths: tuple[Path, ...]
    labels: tuple[str, ...] | None = None


def listed_studies() -> list[ListedStudy]:
    """All 2,955 studies in R2Gen's order: 2,069 train, 296 val, 590 test."""
    with STUDIES.open(encoding="utf-8", newline="") as file:
        return [
            ListedStudy(
                id=row["id"],
                split=row["split"],
                stems=(row["image_0"], row["image_1"]),
                projections=(row["projection_0"] or None, row["projection_1"] or None),
            )
            for row in csv.DictReader(file)
        ]


def first_file(candidates: Iterable[Path]) -> Path:
    """The first candidate that is a file; if none is, the first one, for messages to name."""
    candidates = list(candidates)
    return next((path for path in candidates if os.path.isfile(path)), candidates[0])


Read = tuple[dict[str, FoundStudy], dict[str, list[str]]]


class Layout(NamedTuple):
    """One way to lay the data out; `read` gives listed studies by id, and the problems met."""

    name: str
    looks_like: str
    has_reports: Callable[[Path], bool]  # a folder
    read: Callable[[Path, list[ListedStudy]], Read]


def _read_r2gen(root: Path, listed: list[ListedStudy]) -> Read:
    """R2Gen's `annotation.json` and `images/CXR2384_IM-0942/0.png`, `1.png`.

    Labels come from Kaggle's table where it lies beside. The annotation's own split yields to the
    listed one. Raises UserError for a damaged annotation or an image path that leads out of the
    image folder.
    """
    path = root / "annotation.json"
    splits = {study.id: study.split for study in listed}
    numbers, labels = {study.id: study.number for study in listed}, problems_beside(root)
    found: dict[str, FoundStudy] = {}
    problems: dict[str, list[str]] = defaultdict(list)
    for split, number, record in _records(path):
        where = f"{path}, {split} record {number}"
        study_id, report = (_string(record, key, where) for key in ("id", "report"))
        if study_id not in splits:
            problems["study_not_listed"].append(name_shown(study_id))
        elif study_id in found:
            problems["duplicate_id"].append(study_id)
        else:
            if not split == record.get("split", split) == splits[study_id]:
                problems["split_differs"].append(study_id)
            paths = _image_paths(record, root / "images", where)
            found[study_id] = FoundStudy(report, paths, labels.get(numbers[study_id]))
            problems["image_surplus"] += [f"{study_id}: {p.name}" for p in paths[NUM_VIEWS:]]
    return found, problems


def _records(path: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (split, position, record) in file order."""
    annotation = read_json(path, dict, "studies", "fetch it again")
    for name in annotation:
        if name not in SPLITS:
            raise UserError(
                f"{path}: expected the splits {', '.join(SPLITS)}, found {shown(name)} too; "
                "use R2Gen's own annotation.json"
            )
    for split in SPLITS:
        records = annotation.get(split)
        if not isinstance(records, list):
            raise UserError(
                f"{path}: expected a list of studies under {split!r}, found none; "
                "use R2Gen's own annotation.json"
            )
        for number, record in enumerate(records):
            if not isinstance(record, dict):
                raise UserError(f"{path}, {split} record {number}: expected an object; mend it")
            yield split, number, record


def _string(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise UserError(
            f"{where}: expected text under {key!r}, found {type(value).__name__}; "
            "use R2Gen's own annotation.json"
        )
    return value


def _image_paths(record: dict[str, Any], images: Path, where: str) -> tuple[Path, ...]:
    names = record.get("image_path")
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{where}: expected file names under 'image_path'; mend the record")
    for name in names:
        # Checked as written, so that a user's own links inside the folder still work.
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or not parts.name:
            raise UserError(
                f"{where}: expected image paths inside {images}, got {shown(name)}; mend the record"
            )
    paths = [images / name for name in names]
    return tuple(first_file([path, path.with_suffix(".jpg")]) for path in paths)


def _read_openi(root: Path, listed: list[ListedStudy]) -> Read:
    """Open-i's `ecgen-radiology/2384.xml` and `NLMCXR_png/CXR2384_IM-0942-1001.png`; the images may
    also lie in `root` or by the XML.

    Raises UserError for XML that is damaged, of another study, or declares a document type.
    """
    reports = root / "ecgen-radiology"
    folders = (root / "NLMCXR_png", root, reports)
    found = {}
    for study in listed:
        path = reports / f"{study.number}.xml"
        if path.is_file():
            images = tuple(
                first_file(folder / f"CXR{stem}{end}" for folder in folders for end in _OF_OPENI)
                for stem in study.stems
            )
            report, problems = _openi_report(path)
            found[study.id] = FoundStudy(report, images, problems)
    return found, {}


def _openi_report(path: Path) -> tuple[str, tuple[str, ...] | None]:
    """Text of the FINDINGS section, "" if it has none, and the indexers' problems."""
    content = read_bytes(path, "an Open-i report", "fetch it again")
    try:
        tree = ET.fromstring(_decoded(content))
    except (ET.ParseError, ValueError) as error:
        raise UserError(f"{path}: expected an Open-i report ({error}); fetch it again") from error
    name = tree.find("uId")
    if name is None or name.get("id") != f"CXR{path.stem}":
        raise UserError(
            f"{path}: expected the report of CXR{path.stem}, found another; fetch it again"
        )
    section = tree.find(".//AbstractText[@Label='FINDINGS']")
    report = "" if section is None else "".join(section.itertext())
    return report, problems_of(term.text or "" for term in tree.findall(".//MeSH/major"))


def _decoded(content: bytes) -> str:
    """The text of an XML file, decoded here so that no document type is missed in it.

    There alone entities can be defined, and once a parser meets one it may go on expanding them.
    """
    declared = _DECLARED.match(content)
    encoding = declared[1].decode("ascii").lower() if declared else "utf-8"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif encoding not in _ENCODINGS:
        raise ValueError(f"its encoding is {shown(encoding)}")
    text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    if "\0" in text:  # by which the parser would take it for another encoding
        raise ValueError("it holds a zero byte")
    if "<!DOCTYPE" in text:
        raise ValueError("a document type is declared, which these reports never do")
    return text


def _read_kaggle(root: Path, listed: list[ListedStudy]) -> Read:
    """Kaggle's `indiana_reports.csv` and `images/images_normalized/2384_IM-….dcm.png`.

    Its projections are already in the list of studies. Raises UserError for a damaged table.
    """
    rows, twice = _kaggle_rows(root / KAGGLE_TABLE)
    folders = (root / "images" / "images_normalized", root / "images")
    found = {}
    for study in listed:
        if row := rows.get(study.number):
            images = tuple(
                first_file(folder / f"{stem}{end}" for folder in folders for end in _OF_KAGGLE)
                for stem in study.stems
            )
            found[study.id] = FoundStudy(row["findings"], images, problems_of_row(row))
    return found, {"duplicate_id": twice}


def _kaggle_rows(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
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


def problems_of(terms: Iterable[str]) -> tuple[str, ...] | None:
    """`Hernia, Hiatal/large` -> `hernia, hiatal`, each once; None where nobody indexed it."""
    heads = (term.partition("/")[0].strip().lower() for term in terms)
    return tuple(dict.fromkeys(head for head in heads if not is_missing(head))) or None


def problems_of_row(row: Mapping[str, str]) -> tuple[str, ...] | None:
    """Those of a row of Kaggle's table; None in a table without them."""
    return problems_of(row.get("Problems", "").split(";"))


def problems_beside(root: Path) -> dict[str, tuple[str, ...] | None]:
    """Patient number -> problems, of Kaggle's table in `root`; nothing where there is none."""
    path = root / KAGGLE_TABLE
    if not path.is_file():
        return {}
    rows = read_csv(path, {"uid": str}, "reports", "fetch it again, or remove it")
    return {row["uid"].strip(): problems_of_row(row) for row in reversed(rows)}


LAYOUTS = (
    Layout(
        "R2Gen",
        "annotation.json with images/CXR.../0.png",
        lambda root: (root / "annotation.json").is_file(),
        _read_r2gen,
    ),
    Layout(
        "Open-i",
        "ecgen-radiology/*.xml with NLMCXR_png/*.png",
        lambda root: (root / "ecgen-radiology").is_dir(),
        _read_openi,
    ),
    Layout(
        "Kaggle",
        "indiana_reports.csv with images/images_normalized/*.dcm.png",
        lambda root: (root / KAGGLE_TABLE).is_file(),
        _read_kaggle,
    ),
)
