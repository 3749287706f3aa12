"""R2Gen's folder: `annotation.json`, one record an image, and `images/p10/p.../s.../*.jpg`."""

import sqlite3
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from rcan.data.mimic_cxr.catalogue import Catalogue
from rcan.data.mimic_cxr.pictures import find_picture, image_folders
from rcan.data.mimic_cxr.records import read_records
from rcan.data.problems import Problems
from rcan.data.study import SPLITS
from rcan.errors import NamesNobodyError

NAME = "R2Gen"
LOOKS_LIKE = "annotation.json with images/p10/p.../s.../*.jpg"
_REMEDY = "use R2Gen's own annotation.json of MIMIC-CXR"


def has_reports(root: Path) -> bool:
    return (root / "annotation.json").is_file()


def read(root: Path, database: sqlite3.Connection) -> tuple[Catalogue, Problems]:
    """A study a record, in the order of splits and the file's, with its first image as R2Gen reads.

    Raises UserError for a damaged annotation or an image path that leads out of the image folder.
    """
    path = root / "annotation.json"
    problems, catalogue, folders = Problems(), Catalogue(database), image_folders(root)
    database.execute("create table annotated (study text primary key) without rowid")
    with tqdm(desc="read studies", unit="study", disable=None) as bar:
        for split in SPLITS:
            for number, record in read_records(path, split, _REMEDY):
                _check(record, f"{path}, {split} record {number}")
                if record.get("split", split) != split:
                    problems.add("split_differs", record["id"])
                annotated = "insert or ignore into annotated values (?)"
                if not database.execute(annotated, (str(record["study_id"]),)).rowcount:
                    problems.add("report_of_another_image", record["id"])
                if len(record["image_path"]) > 1:
                    problems.add("image_surplus", record["id"])
                first = PurePosixPath(record["image_path"][0])
                stem = str(first.with_suffix(""))
                picture = find_picture(folders, stem, first.stem, None, ending=first.suffix)
                catalogue.add(
                    record["id"], split, record["report"], [picture], None,
                    str(record["subject_id"]),
                )  # fmt: skip
                bar.update()
    return catalogue, problems


def _check(record: dict[str, Any], where: str) -> None:
    for key, kind, what in (
        ("id", str, "text"), ("report", str, "text"), ("study_id", int | str, "a number or text"),
        ("subject_id", int | str, "a number or text"), ("image_path", list, "a list"),
    ):  # fmt: skip
        if not isinstance(record.get(key), kind):
            raise NamesNobodyError(f"{where}: expected {what} under {key!r}; {_REMEDY}")
    names = record["image_path"]
    if not names or not all(isinstance(name, str) and _is_inside(name) for name in names):
        raise NamesNobodyError(f"{where}: expected image paths inside the image folder; {_REMEDY}")


def _is_inside(name: str) -> bool:
    # Checked as written, so that a user's own links inside the folder still work.
    parts = PurePosixPath(name.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and bool(parts.name)
