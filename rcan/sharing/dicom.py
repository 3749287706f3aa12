"""An X-ray in DICOM to 8-bit grey, as a screen would show it (PS3.3, C.7.6.3, C.11.1, C.11.2).

Stored values go through the modality LUT or rescale, then the VOI LUT or the first window that can
be used; MONOCHROME1, whose low values are bright, is turned over last. Without either, values of 8
bits and less are kept as they are, and deeper ones scaled from the darkest to the brightest,
padding left out, as 16-bit PNG is. Overlays are not drawn. No error here quotes a value of the
file, which may name a patient.
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


class _UnusableError(ValueError):
    """Why an image cannot be shown, in words of ours alone."""


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


def grey_of(stored: np.ndarray, file: "Dataset") -> np.ndarray:
    """Stored values (H, W) as 8-bit grey, as the other attributes of `file` say."""
    values, rescaled = _rescaled(stored, file)
    share: np.ndarray
    item, window = _voi_table(file), _window(file)
    bits = int(file.BitsStored)
    if item is not None:
        found, brightest = _looked_up(values, item)
        share = found / brightest
    elif window is not None:
        share = _windowed(values.astype(np.float64), *window)
    elif bits <= 8 and not rescaled and values.min() >= 0:
        share = values / (2**bits - 1)
    else:
        shown = values[~_is_padding(stored, file)]
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
        return _looked_up(stored, file.ModalityLUTSequence[0])[0], True
    (slope, *_), (shift, *_) = (
        _numbers(file, "RescaleSlope", 1),
        _numbers(file, "RescaleIntercept", 0),
    )
    if not np.isfinite([slope, shift]).all() or slope == 0 or (slope, shift) == (1.0, 0.0):
        return stored, False
    return stored * slope + shift, True


def _voi_table(file: "Dataset") -> Any:
    """The item of the first VOI LUT, None where there is none or it is empty."""
    item = (file.get("VOILUTSequence") or [None])[0]
    return item if item is not None and item.get("LUTDescriptor") and item.get("LUTData") else None


def _looked_up(values: np.ndarray, item: Any) -> tuple[np.ndarray, int]:
    """Values by a table (C.11.1.1, C.11.2.1.1), and its full brightness.

    Values outside it get its first or last entry. Full brightness is that of the bits that the
    largest entry takes: scanners declare 16 for entries of 12.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count % 2**16 or 2**16  # it may have been read as signed
    if first >= 2**15 and values.min() < 0:
        first -= 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * count else "u1")
    table = np.atleast_1d(np.asarray(data, dtype=np.int64))
    if (
        len(table) < count <= 2 * len(table) and table.max() > 255 >= 2**bits - 1
    ):  # two entries in each word
        table = table.astype("<u2").view("u1").astype(np.int64)
    table = table[:count]
    if len(table) < count:
        raise _UnusableError("its lookup table is cut short")
    found: np.ndarray = table[np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)]
    return found, 2 ** max(1, int(table.max()).bit_length()) - 1


def _window(file: "Dataset") -> tuple[float, float, str] | None:
    """Centre, width and function of the first window that can be used, None if there is none."""
    function = re.sub("[ -]", "_", str(file.get("VOILUTFunction") or "LINEAR").strip().upper())
    least = 1e-9 if function in ("SIGMOID", "LINEAR_EXACT") else 1
    for centre, width in zip(
        _numbers(file, "WindowCenter"), _numbers(file, "WindowWidth"), strict=False
    ):
        if np.isfinite([centre, width]).all() and width >= least:
            return centre, width, function
    return None


def _numbers(file: "Dataset", name: str, usual: float = np.nan) -> list[float]:
    """The values of an attribute, at least one, NaN for each that is no number."""
    try:
        held = file.get(name)
    except (ValueError, TypeError, ArithmeticError):
        return [np.nan]
    if held is None:
        return [usual]
    several = list(held) if not isinstance(held, str | float | int) else [held]
    return [_number(value) for value in several] or [usual]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        return np.nan


def _is_padding(stored: np.ndarray, file: "Dataset") -> np.ndarray:
    """Where the stored values are padding (C.7.5.1.1.2): one value, or all up to a limit."""
    told = [file.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if told[0] is None:
        return np.zeros(stored.shape, dtype=bool)
    least, most = np.iinfo(stored.dtype).min, 2 ** int(file.BitsAllocated)
    # Of signed pixels it may have been read as unsigned, and the other way round.
    values = [(int(value) - least) % most + least for value in told if value is not None]
    return np.asarray((stored >= min(values)) & (stored <= max(values)))


def _windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """The share of full brightness, 0 to 1, of values under a window (C.11.2.1.2, C.11.2.1.3)."""
    if function == "SIGMOID":
        power = np.clip(-4 * (values - centre) / width, -700, 700)  # where exp is a number
        return np.asarray(1 / (1 + np.exp(power)))
    if function != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
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
    """The stored values (H, W), whichever of their bits hold them."""
    bits, highest = int(file.BitsStored), int(file.get("HighBit") or 0)
    surplus = max(0, highest + 1 - bits)  # bits below them
    file.BitsStored = bits + surplus  # pydicom takes the lowest
    stored = np.asarray(_decoded(file, path)) >> surplus
    file.BitsStored = bits
    if stored.ndim != 2:
        raise _UnusableError("the decoder gave no single image")
    return stored


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

    reason = str(error) if isinstance(error, _UnusableError) else type(error).__name__
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
