"""An X-ray in DICOM to 8-bit grey, as a screen would show it (PS3.3, C.7.6.3, C.11.1, C.11.2).

Stored values go through the modality LUT or rescale, then the VOI LUT or the first window;
MONOCHROME1, whose low values are bright, is turned over last. Without either, 8-bit values are kept
as they are, and deeper ones scaled from the darkest to the brightest, padding left out, as 16-bit
PNG is. No error here quotes a value of the file, which may name a patient.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rcan.data.images import MOST_OBLONG
from rcan.errors import UserError
from rcan.reading import require_file

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


def is_dicom(path: Path) -> bool:
    """Whether a file says of itself that it is DICOM."""
    require_file(path)
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(path: Path) -> tuple[np.ndarray, str | None]:
    """The image (H, W) uint8, and "frontal", "lateral" or None as its ViewPosition tells.

    Raises `UserError`, one line, for anything but one whole grey image, or one whose compression
    needs a package that is not installed.
    """
    import pydicom

    with _quiet():
        try:
            file = pydicom.dcmread(path)
        except Exception as error:  # of many kinds
            raise _damaged(path, error) from None
        try:
            _require_one_grey_image(file, path)
            stored = np.asarray(_decoded(file, path))
            if stored.ndim != 2:
                raise ValueError("the decoder gave no single image")
            grey = grey_of(stored, file)
            view = str(file.get("ViewPosition") or "").strip().upper()
        except UserError:
            raise
        except Exception as error:
            raise _damaged(path, error) from None
    return grey, next((name for name, known in _VIEWS.items() if view in known), None)


def grey_of(stored: np.ndarray, file: "Dataset") -> np.ndarray:
    """Stored values (H, W) as 8-bit grey, as the other attributes of `file` say."""
    values, rescaled = _rescaled(stored, file)
    share: np.ndarray
    if file.get("VOILUTSequence"):
        item = file.VOILUTSequence[0]
        share = _looked_up(values, item) / (2 ** int(item.LUTDescriptor[2]) - 1)
    elif file.get("WindowCenter") is not None and file.get("WindowWidth") is not None:
        share = _windowed(
            values.astype(np.float64), float(_first(file.WindowCenter)),
            float(_first(file.WindowWidth)), str(file.get("VOILUTFunction") or "LINEAR").upper(),
        )  # fmt: skip
    elif int(file.BitsStored) <= 8 and not rescaled and values.min() >= 0:
        share = values / 255
    else:
        shown = values
        if file.get("PixelPaddingValue") is not None:
            shown = values[stored != int(file.PixelPaddingValue)]
        low, high = (shown.min(), shown.max()) if shown.size else (0, 0)
        share = (values.astype(np.float64) - low) / max(float(high) - float(low), 1e-9)
    share = np.clip(share, 0, 1)
    if file.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    grey: np.ndarray = np.rint(share * 255).astype(np.uint8)
    return grey


def _rescaled(stored: np.ndarray, file: "Dataset") -> tuple[np.ndarray, bool]:
    """Values after the modality LUT or rescale (C.11.1), and whether there was any to speak of."""
    if file.get("ModalityLUTSequence"):
        return _looked_up(stored, file.ModalityLUTSequence[0]), True
    slope, shift = (
        float(value) if value is not None else usual
        for value, usual in ((file.get("RescaleSlope"), 1.0), (file.get("RescaleIntercept"), 0.0))
    )
    if not np.isfinite([slope, shift]).all() or slope == 0:
        raise ValueError("its rescale slope is no number")
    if (slope, shift) == (1.0, 0.0):
        return stored, False
    return stored * slope + shift, True


def _looked_up(values: np.ndarray, item: Any) -> np.ndarray:
    """Values by a table (C.11.1.1, C.11.2.1.1); those outside it get its first or last entry."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * count else "u1")
    table = np.atleast_1d(np.asarray(data, dtype=np.int64))[:count]
    if len(table) < count or not 1 <= bits <= 16:
        raise ValueError("its lookup table is cut short")
    found: np.ndarray = table[np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)]
    return found


def _windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """The share of full brightness, 0 to 1, of values under a window (C.11.2.1.2, C.11.2.1.3)."""
    if not np.isfinite([centre, width]).all() or width < (1 if function == "LINEAR" else 1e-9):
        raise ValueError("its window is none")
    if function == "SIGMOID":
        power = np.clip(-4 * (values - centre) / width, -700, 700)  # where exp is a number
        return np.asarray(1 / (1 + np.exp(power)))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    elif function != "LINEAR_EXACT":
        raise ValueError("its window has an unknown function")
    if width == 0:  # a threshold
        return np.where(values > centre, 1.0, 0.0)
    return np.clip((values - centre) / width + 0.5, 0, 1)


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
            f"{path}: expected a grey image ({' or '.join(_GREY)}), found one in colour; convert it"
        )
    height, width = int(file.Rows), int(file.Columns)
    if height * width > MOST_PIXELS or max(height, width) > MOST_OBLONG * min(height, width):
        raise UserError(
            f"{path}: expected an X-ray, found an image of {width} x {height} pixels; "
            "name another file"
        )


def _decoded(file: "Dataset", path: Path) -> Any:
    """The stored values; a compression that cannot be read here is told with what it wants."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = file.file_meta.TransferSyntaxUID
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


def _first(value: Any) -> Any:
    """Of several windows the first."""
    return value if isinstance(value, float | int | str) else value[0]


def _damaged(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: expected an image, found no file; check the name")
    return UserError(
        f"{path}: expected a whole DICOM image, found none ({type(error).__name__}); fetch it again"
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
