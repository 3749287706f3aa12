"""Every kind of PNG and JPEG becomes 8-bit grey, and every grey image a square."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rcan.data.images import fit_to_square, read_grey
from rcan.errors import UserError

GREY = np.linspace(0, 255, 48, dtype=np.uint8).reshape(6, 8)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_pixels_come_back_from_every_8_bit_mode(tmp_path, mode):
    Image.fromarray(GREY).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(read_grey(tmp_path / "a.png"), GREY)


def test_a_palette_with_transparency_is_read_by_its_colours(tmp_path):
    image = Image.fromarray(GREY).convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert np.array_equal(read_grey(tmp_path / "a.png"), GREY)


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / "a.png")
    assert np.array_equal(read_grey(tmp_path / "a.png"), np.where(GREY > 127, 255, 0))


def test_16_bit_is_scaled_by_its_own_range(tmp_path):
    Image.fromarray(GREY.astype(np.uint16) * 16 + 1000).save(tmp_path / "a.png")
    assert np.array_equal(read_grey(tmp_path / "a.png"), GREY)
    Image.fromarray(np.full((4, 4), 60000, dtype=np.uint16)).save(tmp_path / "flat.png")
    assert read_grey(tmp_path / "flat.png").max() == 0


# Start and step (rows, columns) of the passes of an interlaced PNG (PNG 1.2, section 2.6).
ADAM7 = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip


def png_of_16_bits(values, *, interlaced=False):
    """A PNG of (H, W, C) values; its rows are unfiltered, differences of pixels, or of rows."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packed = b""
    for top, left, down, right in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = values[top::down, left::right]
        rows = part.astype(">u2").view("u1").reshape(len(part), -1)
        wide = 2 * values.shape[2]
        for number, row in enumerate(rows if rows.size else []):
            before = (0, np.r_[np.zeros(wide, "u1"), row[:-wide]], rows[number - 1])
            kind = number % 3
            packed += bytes([kind]) + (row - before[kind]).astype("u1").tobytes()
    height, width, channels = values.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, interlaced)
    ends = chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ends


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_in_colour_or_with_opacity_are_the_picture_of_grey_ones(
    tmp_path, channels, interlaced
):
    grey = np.arange(33 * 21).reshape(33, 21) * 5 + 100  # of 12 bits
    values = np.stack([grey] * channels, axis=2)
    if channels in (2, 4):
        values[..., -1] = 65535 - grey * 7
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values, interlaced=interlaced))
    wanted = np.rint((grey - 100) * (255 / (33 * 21 * 5 - 5))).astype(np.uint8)
    assert np.array_equal(read_grey(tmp_path / "a.png"), wanted)


def test_16_bit_colours_become_grey_by_luma(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (20, 18, 3))
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values))
    luma = values @ [0.299, 0.587, 0.114]
    wanted = (luma - luma.min()) / np.ptp(luma) * 255
    assert np.abs(read_grey(tmp_path / "a.png") - wanted).max() <= 0.51


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bit_colour_cut_short_is_named(tmp_path, channels):
    values = np.random.default_rng(0).integers(0, 65536, (40, 30, channels))
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values)[:3000])
    with pytest.raises(UserError, match="expected a whole PNG or JPEG"):
        read_grey(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_read_in_every_mode(tmp_path, mode):
    smooth = np.tile(np.linspace(40, 220, 32, dtype=np.uint8), (32, 1))
    Image.fromarray(smooth).convert("RGB").convert(mode).save(tmp_path / "a.jpg", quality=95)
    grey = read_grey(tmp_path / "a.jpg")
    assert grey.dtype == np.uint8
    assert np.abs(grey.astype(int) - smooth).max() < 8


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_image_is_named(tmp_path, ending, keep):
    path = tmp_path / f"scan.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(UserError, match=rf"scan\.{ending}: expected a whole PNG or JPEG"):
        read_grey(path)


@pytest.mark.parametrize("content", [b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_an_unreadable_image_is_named(tmp_path, content):
    (tmp_path / "scan.png").write_bytes(content)
    with pytest.raises(UserError, match=r"scan\.png"):
        read_grey(tmp_path / "scan.png")


def without_width(png):
    return png[:16] + bytes(4) + png[20:]


@pytest.mark.parametrize(
    ("ending", "spoil"),
    [
        ("png", lambda png: png[:4]), ("png", lambda png: png[:12]), ("png", lambda png: png[:30]),
        ("png", without_width), ("png", lambda png: png[:8] + bytes(40)),
        ("jpg", lambda jpeg: jpeg[:2]), ("jpg", lambda jpeg: jpeg[:3]),
    ],
)  # fmt: skip
def test_a_damaged_header_is_told_as_such(tmp_path, ending, spoil):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(GREY).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=r"found none \(its header is damaged\); fetch it again"):
        read_grey(path)


def test_a_file_of_no_known_kind_is_told_by_its_start(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="begins as neither does"):
        read_grey(tmp_path / "a.png")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.png: expected an image, found no file"):
        read_grey(tmp_path / "none.png")
    with pytest.raises(UserError, match="expected a whole PNG or JPEG"):
        read_grey(tmp_path)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("gif", "GIF"), ("tif", "TIFF"), ("bmp", "BMP"), ("jp2", "JPEG 2000"), ("pgm", "PGM")],
)
def test_other_formats_are_named_with_what_to_do(tmp_path, ending, kind):
    Image.fromarray(GREY).resize((32, 32)).save(tmp_path / f"a.{ending}")
    with pytest.raises(UserError, match=rf"a\.{ending}: .*found a {kind}; convert it to PNG"):
        read_grey(tmp_path / f"a.{ending}")


def test_dicom_among_the_png_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(UserError, match="found a DICOM file; convert it to PNG"):
        read_grey(tmp_path / "a.png")


@pytest.mark.parametrize(
    "limit", [10, 30]
)  # Pillow: an error above twice the limit, else a warning
def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, limit):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UserError, match=r"a\.png.*too large to unpack safely"):
        read_grey(tmp_path / "a.png")


def framed(height, width):
    """Grey, its left quarter white."""
    image = np.full((height, width), 100, dtype=np.uint8)
    image[:, : width // 4] = 255
    return image


@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (40, 40), (1, 50), (33, 77)])
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_every_fit_gives_a_square(shape, fit):
    fitted = fit_to_square(framed(*shape), 16, fit)
    assert fitted.shape == (16, 16) and fitted.dtype == np.uint8


def test_squash_keeps_the_whole_image():
    fitted = fit_to_square(framed(40, 80), 16, "squash")
    assert (fitted[:, :3] == 255).all() and (fitted[:, 6:] == 100).all()


def test_crop_keeps_the_centre():
    assert (fit_to_square(framed(40, 80), 16, "crop")[:, 1:] == 100).all()


def test_pad_adds_black_bars():
    fitted = fit_to_square(framed(40, 80), 16, "pad")
    assert (fitted[:4] == 0).all() and (fitted[-4:] == 0).all() and (fitted[4:12] > 0).all()


def test_shrinking_is_antialiased():
    checkerboard = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(fit_to_square(checkerboard, 16, "squash")[1:-1, 1:-1].astype(int) - 127).max() < 4


def test_an_image_of_the_right_size_is_untouched():
    for fit in ("squash", "crop", "pad"):
        assert np.array_equal(fit_to_square(framed(16, 16), 16, fit), framed(16, 16))


def test_an_unknown_fit_is_an_error():
    with pytest.raises(UserError, match="squash, crop, pad, got 'stretch'"):
        fit_to_square(GREY, 16, "stretch")
