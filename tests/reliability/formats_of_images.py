"""Samples of image files: PNGs and JPEGs of many kinds, and such as must be refused."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
from cases import Fuzz, Sample, attempt, damaged
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from rcan.data.images import FITS, fit_to_square, read_grey

GREY = np.random.default_rng(0).integers(0, 256, (24, 20), dtype=np.uint8)


def saved(mode: str = "L", kind: str = "PNG", pixels: np.ndarray = GREY, **options) -> bytes:
    content = io.BytesIO()
    image = Image.fromarray(pixels)
    if mode != image.mode:
        image = image.convert("RGB").convert(mode)
    image.save(content, format=kind, **options)
    return content.getvalue()


def texts() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b" * 100, zip=True)
    info.add_itxt("c", "d", "e", "f", zip=True)
    return info


EXIF = (
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x1a\x01\x05\0\x01\0\0\0\x1a\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0"
)
FILES = [
    *(saved(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    saved("I;16", pixels=GREY.astype(np.uint16) * 200),
    saved(pnginfo=texts(), dpi=(10, 10), exif=EXIF, icc_profile=b"x" * 200),
    saved(save_all=True, append_images=[Image.fromarray(255 - GREY)]),
    *(saved(mode, "JPEG", progressive=p) for mode in ("L", "RGB", "CMYK") for p in (True, False)),
    saved("L", "JPEG", exif=EXIF, comment=b"x", dpi=(10, 10)),
]


def size_named(content: bytes) -> tuple[int, int]:
    """Height and width as the header of a PNG or JPEG names them, the last one in a JPEG."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24])
        return height, width
    named, place = (0, 0), 2
    while place + 9 <= len(content):
        marker, length = content[place : place + 2], int.from_bytes(content[place + 2 : place + 4])
        if marker[0] != 0xFF or 0xD0 <= marker[1] <= 0xD9 or marker[1] in (0x00, 0x01, 0xFF):
            place += 1
            continue
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
            named = struct.unpack(">HH", content[place + 5 : place + 9])
        if marker[1] == 0xDA:
            break
        place += 2 + length
    return named


def read_image(path: Path) -> bool:
    """Whether it was read; then it has the size that its header names."""
    started = time.perf_counter()
    pixels = attempt(lambda: read_grey(path), str(path))
    assert time.perf_counter() - started < 5
    if pixels is None:
        return False
    assert (pixels.dtype, pixels.shape) == (np.uint8, size_named(path.read_bytes()))
    for fit in FITS:
        assert fit_to_square(pixels, 16, fit).shape == (16, 16)
    return True


def with_sums(content: bytes) -> bytes:
    """A PNG whose every checksum fits, so that damage gets past them."""
    parts, place = [content[:8]], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4])
        body = content[place + 4 : place + 8 + length]
        parts += [content[place : place + 4], body, struct.pack(">I", zlib.crc32(body))]
        place += 12 + length
    return b"".join(parts)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int = 8, colour: int = 0, *, extra: bytes = b"") -> bytes:
    """A PNG of any size in a few bytes: all black, up to a size that is not to be unpacked."""
    num_bytes = height * (1 + -(-width * depth // 8))
    packed = zlib.compress(bytes(num_bytes if num_bytes < 10**8 else 0), 1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    ends = extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ends


def jpeg(height: int, width: int) -> bytes:
    """A JPEG whose header names another size."""
    content = saved(kind="JPEG")
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


ZTEXT = b"Comment\0\0" + zlib.compress(bytes(2**26), 9)
REFUSED = {
    "no size": png(0, 0), "no width": png(0, 9), "no height": png(9, 0),
    "a bomb": png(60000, 60000), "a long bomb": png(2**31 - 1, 1),
    "past all numbers": png(2**32 - 1, 2**32 - 1),
    "over the limit": png(12000, 12000), "of 1 bit, over it": png(20000, 20000, 1),
    "a line": png(1, 5000), "a column": png(5000, 1), "a strange depth": png(8, 8, 3),
    "a strange colour": png(8, 8, 8, 9),
    "a packed text": png(8, 8, extra=chunk(b"zTXt", ZTEXT)),
    "a packed profile": png(8, 8, extra=chunk(b"iCCP", ZTEXT)),
    "a JPEG bomb": jpeg(65535, 65535), "a JPEG without size": jpeg(0, 0),
    "a GIF": saved(kind="GIF"), "a TIFF": saved(kind="TIFF"), "a BMP": saved(kind="BMP"),
    "a WEBP": saved(kind="WEBP"),
    "a PPM": b"P5 9 9 255 " + bytes(81), "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "DICOM": bytes(128) + b"DICM",
}  # fmt: skip


def _damaged_image(content: bytes, mended: bool) -> bytes:
    return with_sums(content) if mended and content.startswith(b"\x89PNG\r\n") else content


def images(suffix: str, folder: Path, patch) -> Sample:
    """A wrong suffix does not matter."""
    path = folder / f"scan{suffix}"
    path.write_bytes(FILES[0])
    cases = st.builds(_damaged_image, st.sampled_from(FILES).flatmap(damaged), st.booleans())
    return Sample(
        "images",
        path,
        lambda: read_image(path),
        fuzz=[Fuzz(cases, (80, 2500))],
        wrong=REFUSED.values(),
        right=FILES,
    )
