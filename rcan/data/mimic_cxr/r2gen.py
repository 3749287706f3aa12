"""R2Gen's folder: `annotation.json`, one record an image, and `images/p10/p.../s.../*.jpg`."""

from pathlib import Path, PurePosixPath
from typing import Any

from rcan.data.mimic_cxr.pictures import image_folders, raw_image
from rcan.data.mimic_cxr.problems import Met, NamesNobodyError
from rcan.data.study import SPLITS, RawStudy
from rcan.reading import read_json

NAME = "R2Gen"
LOOKS_LIKE = "annotation.json with images/p10/p.../s.../*.jpg"
_REMEDY = "use R2Gen's own annotation.json of MIMIC-CXR"


def has_reports(root: Path) -> bool:
    return (root / "annotation.json").is_file()


def read(root: Path) -> tuple[list[RawStudy], Met]:
    """A study a record, in file order, with its first image as R2Gen reads it.

    Raises UserError for a damaged annotation or an image path that leads out of the image folder.
    """
    path = root / "annotation.json"
    met = Met()
    annotation = read_json(path, dict.fromkeys(SPLITS, list), "studies", _REMEDY)
    folders = image_folders(root)
    seen: set[str] = set()
    studies = []
    for split in SPLITS:
        for number, record in enumerate(annotation[split]):
            where = f"{path}, {split} record {number}"
            _check(record, where)
            if record.get("split", split) != split:
                met.add("split_differs", record["id"])
            if str(record["study_id"]) in seen:
                met.add("report_of_another_image", record["id"])
            seen.add(str(record["study_id"]))
            if len(record["image_path"]) > 1:
                met.add("image_surplus", record["id"])
            first = PurePosixPath(record["image_path"][0])
            image = raw_image(
                folders, str(first.with_suffix("")), first.stem, None, ending=first.suffix
            )
            studies.append(
                RawStudy(
                    record["id"], split, record["report"], (image,),
                    patient=str(record["subject_id"]),
                )
            )  # fmt: skip
    return studies, met


def _check(record: Any, where: str) -> None:
    if not isinstance(record, dict):
        raise NamesNobodyError(f"{where}: expected an object, found none; {_REMEDY}")
    for key, kind in (("id", str), ("report", str), ("study_id", int | str),
                      ("subject_id", int | str), ("image_path", list)):  # fmt: skip
        if not isinstance(record.get(key), kind):
            raise NamesNobodyError(f"{where}: expected {key!r} of another kind; {_REMEDY}")
    names = record["image_path"]
    if not names or not all(isinstance(name, str) and _is_inside(name) for name in names):
        raise NamesNobodyError(f"{where}: expected image paths inside the image folder; {_REMEDY}")


def _is_inside(name: str) -> bool:
    # Checked as written, so that a user's own links inside the folder still work.
    parts = PurePosixPath(name.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and bool(parts.name)
