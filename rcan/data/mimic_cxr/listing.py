"""Which studies there are: PhysioNet's official split, its views and, if they lie by, labels."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rcan.data.mimic_cxr.problems import Met, NamesNobodyError
from rcan.data.mimic_cxr.tables import REMEDY, columns_of, find_table, read_columns

SPLIT_OF = {"train": "train", "validate": "val", "test": "test"}
FRONTAL = ("AP", "PA")
LATERAL = ("LATERAL", "LL", "XTABLE LATERAL")
_NUMBER = re.compile("[0-9]{1,12}")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # it becomes a file's name
_VALUES = {"1.0": "", "1": "", "-1.0": "/uncertain", "-1": "/uncertain"}
_NOTHING = ("", "0.0", "0")  # not mentioned, or said to be absent


@dataclass(slots=True)
class ListedStudy:
    """One study of the official split and its images, the one to read first in front."""

    id: str
    patient: str
    split: str
    images: list[tuple[str, str | None]] = field(default_factory=list)  # name, projection

    @property
    def place(self) -> str:
        """Its folder as PhysioNet lays it out: `p10/p10000032/s50414267`."""
        return f"p{self.patient[:2]}/p{self.patient}/s{self.id}"


def listed_studies(root: Path, met: Met) -> dict[str, ListedStudy]:
    """Studies by id in the order of the split's table.

    Which image comes first: a frontal one (AP or PA), else one whose view is not told or another,
    else a lateral one; of several such, the first in the metadata. Raises NamesNobodyError when a
    table is missing or damaged.
    """
    studies = _split(_required(root, "split"), met)
    _sort_images(studies, _required(root, "metadata"), met)
    return studies


def _required(root: Path, kind: str) -> Path:
    path = find_table(root, kind)
    if path is None:
        raise NamesNobodyError(
            f"{root / f'mimic-cxr-2.0.0-{kind}.csv.gz'}: expected it beside the others, found no "
            "such file; fetch it from https://physionet.org/content/mimic-cxr-jpg"
        )
    return path


def _split(path: Path, met: Met) -> dict[str, ListedStudy]:
    studies: dict[str, ListedStudy] = {}
    seen: set[str] = set()
    columns = ("dicom_id", "study_id", "subject_id", "split")
    for number, (name, study_id, patient, split) in read_columns(path, columns):
        known = _NUMBER.fullmatch(study_id) and _NUMBER.fullmatch(patient) and split in SPLIT_OF
        if not known or not _NAME.fullmatch(name):
            raise NamesNobodyError(
                f"{path}, row {number}: expected a dicom_id, a study_id and subject_id of digits, "
                f"and one of the splits {', '.join(SPLIT_OF)}, found another; {REMEDY}"
            )
        if name in seen:
            met.add("duplicate_row", name)
            continue
        seen.add(name)
        study = studies.get(study_id)
        if study is None:
            study = studies[study_id] = ListedStudy(study_id, patient, SPLIT_OF[split])
        elif (study.patient, study.split) != (patient, SPLIT_OF[split]):
            met.add("split_differs", study_id)
            continue
        study.images.append((name, None))
    return studies


def _sort_images(studies: dict[str, ListedStudy], path: Path, met: Met) -> None:
    told: dict[str, tuple[int, str]] = {}  # image -> its row and view
    for number, (name, view) in read_columns(path, ("dicom_id", "ViewPosition")):
        told.setdefault(name, (number, sys.intern(view.strip().upper())))
    for study in studies.values():
        ranked = []
        for name, _ in study.images:
            if name not in told:
                met.add("image_not_in_metadata", f"{study.id}: {name}")
            number, view = told.get(name, (sys.maxsize, ""))
            rank = 0 if view in FRONTAL else 2 if view in LATERAL else 1
            ranked.append((rank, number, (name, _projection(view))))
        ranked.sort(key=lambda one: one[:2])
        study.images = [image for _, _, image in ranked]
        if ranked[0][0]:
            met.add("no_frontal", study.id)


def _projection(view: str) -> str | None:
    if view.split(" ")[0] in FRONTAL:  # "PA LLD", too
        return "frontal"
    return "lateral" if view in LATERAL else None


def labels_beside(root: Path) -> dict[str, tuple[str, ...]]:
    """Study id -> CheXpert's labels that are not absent, such as `edema` and `pneumonia/uncertain`.

    Nothing where the table does not lie by. Raises NamesNobodyError for a damaged one.
    """
    path = find_table(root, "chexpert")
    if path is None:
        return {}
    names = [name for name in columns_of(path) if name not in ("subject_id", "study_id")]
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # few combinations, many studies
    labels = {}
    for number, (study_id, *values) in read_columns(path, ("study_id", *names)):
        if not all(value in _VALUES or value in _NOTHING for value in values):
            raise NamesNobodyError(
                f"{path}, row {number}: expected 1.0, 0.0, -1.0 or nothing as a label, found "
                f"another; {REMEDY}"
            )
        found = tuple(
            f"{name.lower()}{_VALUES[value]}"
            for name, value in zip(names, values, strict=True)
            if value in _VALUES
        )
        labels[study_id] = known.setdefault(found, found)
    return labels
