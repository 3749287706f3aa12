"""Stored values of DICOM to 8-bit grey, as a screen shows them (PS3.3, C.7.6.3, C.11.1, C.11.2).

They go through the modality LUT or rescale, then the VOI LUT or the first window that can be used;
MONOCHROME1 and the presentation LUT shape INVERSE (C.11.6), whose low values are bright, are turned
over last, once. Without either table or window, values of 8 bits and less are kept as they are, and
deeper ones scaled from the darkest to the brightest, padding left out, as 16-bit PNG is. Overlays
are not drawn.

pydicom has the same tables and windows, and tests hold ours to them; but it takes a file at its
word, and scanners get signs, bits, lengths and windows wrong in the ways that are mended here.
"""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset


class UnusableError(ValueError):
    """Why an image cannot be shown, in words of ours alone."""


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
    shape = str(file.get("PresentationLUTShape") or "").strip().upper()
    if file.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE":
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

    Values outside it get its first or last entry. Full brightness is that of the declared bits
    where the largest entry takes them all or all but one, else of those it takes: scanners declare
    16 for entries of 12.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count % 2**16 or 2**16  # it may have been read as signed
    if first >= 2**15 and (values.min() < 0 or values.max() < first):
        first -= 2**16  # a signed number that was read as unsigned
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
        raise UnusableError("its lookup table is cut short")
    found: np.ndarray = table[np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)]
    taken = int(table.max()).bit_length()
    return found, 2 ** max(1, bits if bits - 1 <= taken <= bits else taken) - 1


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
