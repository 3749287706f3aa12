"""Files and folders to studies: what `rcan generate` is given, read as the pipeline reads it.

A file is a study of one view. A folder is one study: its images in the order of their names, as
many as the model reads. A study of fewer views repeats its last one, as in training.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rcan.data.images import fit_to_square, read_grey
from rcan.data.store import PROJECTIONS
from rcan.errors import UserError, reason_of
from rcan.reading import require_file
from rcan.sharing.dicom import holds_image, is_dicom, read_dicom

LEAST = 16  # pixels a side: less is no X-ray, and no model is trained on less
_NUMPY = b"\x93NUMPY"
_STARTS = (b"\x89PNG", b"\xff\xd8\xff", _NUMPY)
_DICOM = (".dcm", ".dicom")
_ENDINGS = (".png", ".jpg", ".jpeg", *_DICOM)
_IN_NAMES = {"frontal": "frontal|pa|ap", "lateral": "lateral|lat|ll"}


@dataclass(frozen=True)
class GivenStudy:
    """The files of one study, not read yet; `name` is what was given, to tell it by."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class ReadStudy:
    """One study as a model sees it: `images` (I, size, size) uint8, a projection for each."""

    name: str
    paths: tuple[Path, ...]
    images: np.ndarray
    projections: tuple[str, ...]


def studies_of(
    places: Sequence[Path], num_views: int, *, one_study: bool = False
) -> list[GivenStudy]:
    """The studies that files and folders stand for, none read yet.

    `one_study`: all are files of one. Raises `UserError` for what is neither file nor folder, a
    folder without images, or too many of one study.
    """
    if not one_study:
        return [_study_of(place, num_views) for place in places]
    if any(place.is_dir() for place in places) or len(places) > num_views:
        raise UserError(
            f"expected with --one-study the files of one study, {num_views} at most for this "
            f"model, got {len(places)} or a folder; a folder is one study without this option"
        )
    paths = tuple(path for place in places for path in _study_of(place, num_views).paths)
    return [GivenStudy(str(places[0]), paths)]


def _study_of(place: Path, num_views: int) -> GivenStudy:
    if not place.is_dir():
        if not place.exists():
            raise UserError(f"{place}: expected an image or a folder of one study, found nothing")
        return GivenStudy(str(place), (place,))
    paths = sorted(path for path in place.iterdir() if _looks_like_image(path))
    if not paths:
        raise UserError(
            f"{place}: expected the images of one study (PNG, JPEG or DICOM), found none; folders "
            "inside it are not searched"
        )
    if len(paths) > num_views:
        raise UserError(
            f"{place}: expected the images of one study, {num_views} at most for this model, found "
            f"{len(paths)}; for a report of each image give the files themselves ({place}/*)"
        )
    return GivenStudy(str(place), tuple(paths))


def _looks_like_image(path: Path) -> bool:
    """By its name or its first bytes; what is neither may lie beside the images, and so may DICOM
    that holds none (DICOMDIR, a structured report)."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if _is_dicom(path):
        return holds_image(path)
    return path.suffix.lower() in _ENDINGS or _begins_with(path, _STARTS)


def read_study(
    given: GivenStudy, *, size: int, fit: str, projections: Sequence[str] = ()
) -> ReadStudy:
    """Read the images of a study and make them square, as `rcan.data` does before training.

    The projection of an image is the one in `projections`, or else what DICOM or the file's name
    tells, or else frontal for the first and lateral for the second.
    """
    images, found = [], []
    for number, path in enumerate(given.paths):
        grey, told = read_image(path)
        images.append(fit_to_square(grey, size, fit))
        named = projections[number] if number < len(projections) else None
        found.append(named or told or PROJECTIONS[number])
    return ReadStudy(given.name, given.paths, np.stack(images), tuple(found))


def read_image(path: Path) -> tuple[np.ndarray, str | None]:
    """(H, W) uint8 of a PNG, JPEG, DICOM or NumPy file; its projection where the file tells it.

    Raises:
        UserError: it cannot be read, is no image of these kinds, or is too small.
    """
    try:
        require_file(path)
        as_dicom = _is_dicom(path)
    except OSError as error:
        raise UserError(f"{path}: expected an image ({reason_of(error)}); check the name") from None
    if as_dicom:
        grey, told = read_dicom(path)
    else:
        is_array = _begins_with(path, (_NUMPY,))
        grey = _read_array(path) if is_array else read_grey(path)
        told = _told_by_name(path.stem)
    if min(grey.shape) < LEAST:
        raise UserError(
            f"{path}: expected an X-ray, found an image of {grey.shape[1]} x {grey.shape[0]} "
            f"pixels, and {LEAST} a side are the least; name another file"
        )
    return grey, told


def _read_array(path: Path) -> np.ndarray:
    """(H, W) uint8 of a NumPy file; nothing in it is unpickled."""
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path}: expected an array of NumPy ({reason_of(error)}); save it again"
        ) from None
    if array.ndim != 2 or array.dtype != np.uint8:
        raise UserError(
            f"{path}: expected an array (H, W) of uint8, found {array.dtype} of "
            f"{array.ndim} dimensions; convert it first"
        )
    return array


def _is_dicom(path: Path) -> bool:
    """By its first bytes or, where they are no other image's, by its name."""
    return is_dicom(path) or (path.suffix.lower() in _DICOM and not _begins_with(path, _STARTS))


def _begins_with(path: Path, starts: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(max(map(len, starts))).startswith(starts)


def _told_by_name(stem: str) -> str | None:
    """The projection that stands in a file's name as a word of its own, `0_frontal` or `PA`."""
    words = re.split("[^a-z]+", stem.lower())
    told = [name for name, known in _IN_NAMES.items() if set(known.split("|")) & set(words)]
    return told[0] if len(told) == 1 else None
