"""Any PNG or JPEG to 8-bit grey, and any grey image to a square.

Other depths and modes become grey so: 16-bit, grey or in colour, is scaled from its own darkest and
brightest value to 0-255; colour by luma (ITU-R 601); palette and CMYK by way of RGB; 1-bit is 0 or
255; opacity is ignored. Pixels are not turned by an EXIF orientation.
"""

import os
import stat
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rcan.errors import UserError
from rcan.reading import require_file

FITS = ("squash", "crop", "pad")
MOST_OBLONG = 20  # times as long as wide: an X-ray never is, and `crop` would blow it up
_DEEP_MODES = ("I", "F")  # and I;16, I;16B, ...: one channel of more than 8 bits
# Pillow's name of a layout of 16-bit colour, of which it keeps the high bytes, to those by which it
# unpacks the high and the low ones. Grey and opacity are 4 bytes, which RGBA keeps apart.
_DEEP_COLOUR = {
    "RGB;16B": ("RGB;16B", "RGB;16L"), "RGBA;16B": ("RGBA;16B", "RGBA;16L"), "LA;16B": ("RGBA",),
}  # fmt: skip
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)  # of 2**16, as Pillow has them
_OTHERS = {  # how a file of another kind begins
    b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"BM": "a BMP", b"GIF8": "a GIF",
    b"RIFF": "a RIFF file (WebP, say)",
    b"\0\0\0\x0cjP  ": "a JPEG 2000", b"\xff\x4f\xff\x51": "a JPEG 2000", b"%PDF": "a PDF",
    b"P5": "a PGM", b"P6": "a PPM", b"\x1f\x8b": "a gzip file", b"PK\3\4": "a ZIP archive",
}  # fmt: skip

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
            layout = image.tile[0].args if image.tile else None
            if image.format == "PNG" and layout in _DEEP_COLOUR:
                return _scale_by_range(_deep_luma(path, layout))
            return _to_grey(image)
    except FileNotFoundError as error:
        raise UserError(f"{path}: expected an image, found no file; fetch it again") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"{path}: expected an X-ray, found an image too large to unpack safely "
            f"(over {Image.MAX_IMAGE_PIXELS} pixels); replace the file"
        ) from error
    except UnidentifiedImageError as error:
        start = _start_of(path)
        if found := _other_kind(start):
            raise UserError(
                f"{path}: expected a PNG or JPEG image, found {found}; convert it to PNG, with 16 "
                "bits where it has more than 8"
            ) from error
        if start.startswith((b"\x89PNG", b"\xff\xd8")):
            raise UserError(
                f"{path}: expected a whole PNG or JPEG image, found none (its header is damaged); "
                "fetch it again, or convert it to PNG if other programs show it"
            ) from error
        raise UserError(
            f"{path}: expected a whole PNG or JPEG image, found none (it begins as neither does); "
            "fetch it again"
        ) from error
    # Pillow lets its decoders' own exceptions through for damaged files.
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        # Pillow's text for an unknown format repeats the path, which leads the message already.
        reason = type(error).__name__ if str(path) in str(error) else str(error)
        raise UserError(
            f"{path}: expected a whole PNG or JPEG image, found none ({reason}); fetch it again, "
            "or convert it to PNG if other programs show it"
        ) from error


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)


def _other_kind(start: bytes) -> str | None:
    """What a file is by its first bytes, where that is known."""
    if start[128:] == b"DICM":
        return "a DICOM file"
    return next((kind for sign, kind in _OTHERS.items() if start.startswith(sign)), None)


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

    Raises:
        UserError: another `fit`.
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


def _deep_luma(path: Path, layout: str) -> np.ndarray:
    """The luma (H, W) uint16 of a PNG of 16-bit colour, its high bytes and low ones read apart."""
    planes = []
    for name in _DEEP_COLOUR[layout]:
        with Image.open(path, formats=("PNG",)) as image:
            image.tile = [tile._replace(args=name) for tile in image.tile]
            planes.append(np.asarray(image))
    if layout == "LA;16B":
        grey: np.ndarray = planes[0][..., 0].astype(np.uint16) << 8 | planes[0][..., 1]
        return grey
    return np.stack([_luma_of_row(high, low) for high, low in zip(*planes, strict=True)])


def _luma_of_row(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    colours = high[:, :3].astype(np.uint32) << 8 | low[:, :3]
    luma: np.ndarray = (colours @ _LUMA + 2**15) >> 16
    return luma.astype(np.uint16)


def _scale_by_range(values: np.ndarray) -> np.ndarray:
    darkest, brightest = int(values.min()), int(values.max())
    steps = np.arange(brightest - darkest + 1) * (255 / max(brightest - darkest, 1))
    grey_of = np.rint(steps).astype(np.uint8)
    return np.stack([grey_of[row] for row in values - darkest])  # by row: indices take 8 bytes each
