"""R2Gen's folder: `annotation.json` and `images/CXR2384_IM-0942/0.png`, `1.png`."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rcan.data.iu_xray.listing import FoundStudy, ListedStudy, first_file
from rcan.data.iu_xray.problems import problems_beside
from rcan.data.study import SPLITS
from rcan.errors import UserError, name_shown, shown
from rcan.reading import read_json

NAME = "R2Gen"
LOOKS_LIKE = "annotation.json with images/CXR.../0.png"
NUM_VIEWS = 2  # of a listed study


def has_reports(root: Path) -> bool:
    return (root / "annotation.json").is_file()


def read(
    root: Path, listed: list[ListedStudy]
) -> tuple[dict[str, FoundStudy], dict[str, list[str]]]:
    """Listed studies found under `root` by id, and the problems met.

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
