"""An X-ray in DICOM: is it one, its stored values, and what a screen would show of them.

No error here quotes a value of the file, which may name a patient.
"""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rcan.data.images import MOST_OBLONG
from rcan.errors import UserError
from rcan.reading import require_file
from rcan.sharing.dicom_grey import UnusableError, grey_of

if TYPE_CHECKING:
    from pydicom import Dataset

MOST_PIXELS = 100_000_000  # an X-ray has 20 million at most
_GREY = ("MONOCHROME1", "MONOCHROME2")
_VIEWS = {
    "frontal": ("PA", "AP", "AP SUPINE", "AP AXIAL", "PA ERECT", "AP ERECT"),
    "lateral": ("LL", "RL", "LAT", "LATERAL", "LLD", "RLD"),
}
_JPEG, _JPEG_2000 = "pylibjpeg pylibjpeg-libjpeg", "pylibjpeg pylibjpeg-openjpeg"
_PACKAGES = {  # last part of a transfer syntax of 1.2.840.10008.1.2.4
    **dict.fromkeys(("50", "51", "57", "70", "80", "81"), _JPEG),
    **dict.fromkeys(("90", "91", "201", "202", "203"), _JPEG_2000),
}


# The first tag of a data set that is written without the preamble: of group 2 or 8, in either order
# of bytes, then its kind of value or a small length.
_BARE = re.compile(
    rb"(?:[\x02\x08]\0.\0|\0[\x02\x08]\0.)(?:AE|CS|DA|LO|OB|SH|TM|UI|UL|.\0\0\0|\0\0\0.)", re.DOTALL
)


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does, with its preamble or without."""
    require_file(path)
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or bool(_BARE.match(start))


def holds_image(path: Path) -> bool:
    """False for a directory or a structured report, say; True, too, for what cannot be read."""
    import pydicom

    try:
        with _quiet():
            tags = ["Rows", "Columns"]
            file = pydicom.dcmread(path, force=is_dicom(path), specific_tags=tags)
            return "Rows" in file and "Columns" in file
    except Exception:  # of many kinds; it is told when the image is read
        return True


def read_dicom(path: Path) -> tuple[np.ndarray, str | None]:
    """The image (H, W) uint8, and "frontal", "lateral" or None as its ViewPosition tells.

    Raises `UserError`, one line, for anything but one whole grey image, or one whose compression
    needs a package that is not installed.
    """
    import pydicom

    with _quiet():
        try:
            file = pydicom.dcmread(path, force=is_dicom(path))
        except Exception as error:  # of many kinds
            raise _damaged(path, error) from None
        try:
            _require_one_grey_image(file, path)
            stored = _stored(file, path)
            grey = grey_of(stored, file)
            view = str(file.get("ViewPosition") or "").strip().upper()
        except UserError:
            raise
        except Exception as error:
            raise _damaged(path, error) from None
    return grey, next((name for name, known in _VIEWS.items() if view in known), None)


def _require_one_grey_image(file: "Dataset", path: Path) -> None:
    if "Rows" not in file or "Columns" not in file:
        raise UserError(
            f"{path}: expected an X-ray, found DICOM without an image (a report or a directory, "
            "say); name the image's file"
        )
    if (frames := int(file.get("NumberOfFrames") or 1)) > 1:
        raise UserError(
            f"{path}: expected one image, found {frames} frames; write out the one that is meant"
        )
    kind = str(file.get("PhotometricInterpretation"))
    if kind not in _GREY or int(file.get("SamplesPerPixel") or 1) != 1:
        raise UserError(
            f"{path}: expected a grey image ({' or '.join(_GREY)}), found one in colour; convert "
            "it to grey"
        )
    height, width = int(file.Rows), int(file.Columns)
    if height * width > MOST_PIXELS or max(height, width) > MOST_OBLONG * min(height, width):
        raise UserError(
            f"{path}: expected an X-ray, found an image of {width} x {height} pixels; "
            "name another file"
        )


def _stored(file: "Dataset", path: Path) -> np.ndarray:
    """The stored values (H, W), whichever of their bits hold them.

    Those are the lowest where HighBit is merely wrong: no value goes beyond them, or what does is
    an overlay's.
    """
    bits, highest = int(file.BitsStored), int(file.get("HighBit") or 0)
    surplus = max(0, highest + 1 - bits)  # bits below them, or above
    file.BitsStored = bits + surplus  # pydicom takes the lowest
    stored = np.asarray(_decoded(file, path))
    file.BitsStored = bits
    if stored.ndim != 2:
        raise UnusableError("the decoder gave no single image")
    goes_beyond = stored.max() >= 2**bits or stored.min() < -(2 ** (bits - 1))
    if not surplus or (goes_beyond and not _has_overlay(file, range(bits, bits + surplus))):
        return stored >> surplus
    unused = max(0, 8 * stored.itemsize - bits)
    return (stored << unused) >> unused  # which keeps a sign


def _has_overlay(file: "Dataset", places: range) -> bool:
    """Whether one of these bits of the stored values holds an overlay (PS3.3, C.9.2)."""
    positions = (file.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    return any(position is not None and position.value in places for position in positions)


def _syntax_of(file: "Dataset", path: Path) -> Any:
    """How its values are written; where the file does not say so, plain if their number fits."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in file.file_meta:
        is_implicit, is_little = file.original_encoding
        plain = int(file.Rows) * int(file.Columns) * int(file.BitsAllocated) // 8
        if "PixelData" in file and len(file.PixelData) not in (plain, plain + 1):
            raise UserError(
                f"{path}: expected DICOM that tells its transfer syntax, found none, and the values"
                " are compressed or incomplete; fetch it again, or convert it to PNG"
            )
        little = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
        file.file_meta.TransferSyntaxUID = little if is_little else ExplicitVRBigEndian
    return file.file_meta.TransferSyntaxUID


def _decoded(file: "Dataset", path: Path) -> Any:
    """The stored values; a compression that cannot be read here is told with what it wants."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = _syntax_of(file, path)
    if syntax.is_compressed and not syntax.is_deflated:
        prefix, _, last = syntax.rpartition(".")
        package = _PACKAGES.get(last) if prefix == "1.2.840.10008.1.2.4" else None
        advice = f"`pip install {package}`" if package else "write it out uncompressed"
        try:
            readable = get_decoder(syntax).is_available
        except NotImplementedError:
            readable = False
        try:
            if readable:
                return file.pixel_array
        except RuntimeError:  # all that are installed failed: of other bits, or a damaged file
            advice = f"fetch it again, or {advice} for kinds of it that cannot be read here"
        raise UserError(
            f"{path}: its compression ({syntax.name}) cannot be read here; {advice}"
        ) from None
    return file.pixel_array


def _damaged(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: expected an image, found no file; check the name")
    from pydicom.errors import InvalidDicomError

    reason = str(error) if isinstance(error, UnusableError) else type(error).__name__
    if isinstance(error, InvalidDicomError):
        reason = "it does not begin as DICOM does"
    return UserError(
        f"{path}: expected a whole DICOM image, found none ({reason}); fetch it again, or convert "
        "it to PNG if other programs show it"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom remarks on odd values by quoting them, and they may name a patient."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
