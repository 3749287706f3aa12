"""Any PNG or JPEG to 8-bit grey, and any grey image to a square.

Other depths and modes become grey so: 16-bit is scaled from its own darkest and brightest value to
0-255; colour by luma (ITU-R 601); palette and CMYK by way of RGB; 1-bit is 0 or 255; opacity is
ignored. Pixels are not turned by an EXIF orientation.
"""

import os
import stat
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from rcan.errors import UserError
from rcan.reading import require_file

FITS = ("squash", "crop", "pad")
MOST_OBLONG = 20  # times as long as wide: an X-ray never is, and `crop` would blow it up
_DEEP_MODES = ("I", "F")  # and I;16, I;16B, ...: one channel of more than 8 bits

# Pillow reads an image of up to twice its limit after a mere warning.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # of EXIF, which is not read


def read_grey(path: Path) -> np.ndarray:
    """Read a PNG or JPEG file as grey, (H, W) uint8.

    Raises UserError, naming the file, when it is missing, damaged, cut short, of another format,
    or larger than Pillow deems safe to unpack.
    """
    try:
        require_file(path)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            height, width = image.height, image.width
            if not 0 < max(height, width) <= MOST_OBLONG * min(height, width):
                raise ValueError(f"it has {width} x {height} pixels")
            return _to_grey(image)
    except FileNotFoundError as error:
        raise UserError(f"{path}: expected an image, found no file; fetch it again") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"{path}: expected an X-ray, found an image too large to unpack safely "
            f"(over {Image.MAX_IMAGE_PIXELS} pixels); replace the file"
        ) from error
    # Pillow lets its decoders' own exceptions through for damaged files.
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        # Pillow's text for an unknown format repeats the path, which leads the message already.
        reason = type(error).__name__ if str(path) in str(error) else str(error)
        raise UserError(
            f"{path}: expected a whole PNG or JPEG image, found none ({reason}); fetch it again"
        ) from error


def file_version(path: str | Path) -> str | None:
    """What changes whenever a file's content may have, see `RawImage`; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns"


def fit_to_square(image: np.ndarray, size: int, fit: str) -> np.ndarray:
    """Resize a grey image (H, W) to (size, size) with antialiased bilinear interpolation.

    `fit` says what happens to an image that is not square:
    - squash: the whole image, its aspect ratio lost (R2Gen's transform for evaluation);
    - crop: the shorter side to `size`, then the centre of the longer side;
    - pad: the longer side to `size`, then black bars beside it.
    """
    if fit not in FITS:
        raise UserError(f"expected data.fit to be one of {', '.join(FITS)}, got {fit!r}")
    height, width = image.shape
    if fit == "squash":
        return _resize(image, size, size)
    side = min(height, width) if fit == "crop" else max(height, width)
    scaled = _resize(image, *(max(1, int(size * length / side)) for length in (height, width)))
    top, left = (abs(size - length) // 2 for length in scaled.shape)
    if fit == "crop":
        return scaled[top : top + size, left : left + size]
    padded = np.zeros((size, size), dtype=np.uint8)
    padded[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return padded


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)  # Pillow's bilinear filter widens with the scale: it antialiases


def _to_grey(image: Image.Image) -> np.ndarray:
    if image.mode.startswith(_DEEP_MODES):
        return _scale_by_range(np.asarray(image))
    if image.mode == "P":  # its transparency may be a byte a colour, which only RGBA can hold
        image = image.convert("RGBA")
    if image.mode not in ("1", "L", "LA", "RGB"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))


def _scale_by_range(values: np.ndarray) -> np.ndarray:
    darkest, brightest = int(values.min()), int(values.max())
    steps = np.arange(brightest - darkest + 1) * (255 / max(brightest - darkest, 1))
    grey_of = np.rint(steps).astype(np.uint8)
    return np.stack([grey_of[row] for row in values - darkest])  # by row: indices take 8 bytes each
