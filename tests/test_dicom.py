"""X-rays in DICOM: what a screen would show, and one line for what cannot be shown."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import RAMP, write
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.pixels.decoders.base import Decoder
from pydicom.sequence import Sequence
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless

from rcan.errors import UserError
from rcan.sharing import dicom
from rcan.sharing.dicom import is_dicom, read_dicom
from rcan.sharing.study_files import read_image, studies_of


def table(entries, first, bits, *, count=None) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [count or len(entries), first, bits]
    item.LUTData = list(entries)
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "US"
    return Sequence([item])


def share(values, low, high):
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def test_12_bits_without_a_window_go_from_the_darkest_to_the_brightest(tmp_path):
    grey, view = read_dicom(write(tmp_path / "a.dcm", RAMP + 100))
    assert view is None and grey.dtype == np.uint8
    assert np.array_equal(grey, share(RAMP.astype(float), 0, RAMP.max()))


def test_padding_does_not_darken_the_rest(tmp_path):
    pixels = RAMP // 2 + 1000
    pixels[0] = 0
    grey, _ = read_dicom(write(tmp_path / "a.dcm", pixels, PixelPaddingValue=0))
    rest = pixels[1:].astype(float)
    assert np.array_equal(grey[1:], share(rest, rest.min(), rest.max())) and not grey[0].any()


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_a_range_of_padding_does_not_darken_the_rest(kind, tmp_path):
    pixels = (RAMP // 2 + 1000).astype(kind)
    pixels[0], pixels[1] = 5, 7
    if kind is np.int16:
        pixels[:2] -= 2000
    ends = {"PixelPaddingValue": int(pixels[1, 0]), "PixelPaddingRangeLimit": int(pixels[0, 0])}
    grey, _ = read_dicom(write(tmp_path / "a.dcm", pixels, bits=16, **ends))
    rest = pixels[2:].astype(float)
    assert np.array_equal(grey[2:], share(rest, rest.min(), rest.max())) and not grey[:2].any()


def test_an_overlay_in_unused_bits_does_not_darken_the_picture(tmp_path):
    plain, _ = read_dicom(write(tmp_path / "a.dcm"))
    drawn = RAMP.copy()
    drawn[::3] |= 0x8000
    path = write(tmp_path / "b.dcm", drawn)
    file = dcmread(path)
    for element, value in ((0x10, 24), (0x11, 20), (0x102, 15)):  # rows, columns, bit
        file.add_new((0x6000, element), "US", value)
    file.save_as(path)
    assert np.array_equal(read_dicom(path)[0], plain)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_values_in_the_high_bits_are_those_of_the_low_ones(kind, tmp_path):
    pixels = RAMP.astype(kind) - kind(1900 if kind is np.int16 else 0)
    plain, _ = read_dicom(write(tmp_path / "a.dcm", pixels))
    high, _ = read_dicom(write(tmp_path / "b.dcm", (pixels << 4) | kind(9), HighBit=15))
    assert np.array_equal(high, plain) and np.ptp(plain) == 255


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
@pytest.mark.parametrize("highest", [12, 15])
def test_a_high_bit_that_is_merely_wrong_darkens_nothing(kind, highest, tmp_path):
    pixels = RAMP.astype(kind) - kind(1900 if kind is np.int16 else 0)
    window = {"WindowCenter": int(pixels.mean()), "WindowWidth": 4000}
    plain, _ = read_dicom(write(tmp_path / "a.dcm", pixels, **window))
    for number, stored in enumerate((pixels, pixels & kind(0x0FFF))):  # a sign kept, or cut off
        path = write(tmp_path / f"{number}.dcm", stored, HighBit=highest, **window)
        assert np.array_equal(read_dicom(path)[0], plain)
    assert np.ptp(plain) > 200


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_an_overlay_above_values_of_a_wrong_high_bit_is_taken_off(kind, tmp_path):
    window = {"WindowCenter": 1000, "WindowWidth": 2000}
    pixels = RAMP.astype(kind) // kind(2)
    plain, _ = read_dicom(write(tmp_path / "a.dcm", pixels, **window))
    drawn = pixels.copy()
    drawn[::3] |= np.array(0x8000, np.uint16).astype(kind)
    path = write(tmp_path / "b.dcm", drawn, HighBit=15, **window)
    file = dcmread(path)
    file.add_new((0x6002, 0x102), "US", 15)
    file.save_as(path)
    assert np.array_equal(read_dicom(path)[0], plain)
    below = write(tmp_path / "c.dcm", (pixels << 4) | kind(1), HighBit=15, **window)
    file = dcmread(below)
    file.add_new((0x6000, 0x102), "US", 0)
    file.save_as(below)
    assert np.array_equal(read_dicom(below)[0], plain)


def test_less_than_8_bits_go_to_full_brightness(tmp_path):
    pixels = np.arange(480, dtype=np.uint8).reshape(24, 20) % 16
    grey, _ = read_dicom(write(tmp_path / "a.dcm", pixels, bits=4))
    assert np.array_equal(grey, pixels * 17)


def test_8_bits_stay_as_they_are_as_in_a_png(tmp_path):
    pixels = np.arange(40, 140, dtype=np.uint8).repeat(4).reshape(20, 20)
    assert np.array_equal(read_dicom(write(tmp_path / "a.dcm", pixels, bits=8))[0], pixels)


def test_monochrome1_is_the_negative_of_monochrome2(tmp_path):
    window = {"WindowCenter": 2000, "WindowWidth": 1500}
    light, _ = read_dicom(write(tmp_path / "a.dcm", **window))
    dark, _ = read_dicom(
        write(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1", **window)
    )
    assert np.abs(dark.astype(int) + light - 255).max() <= 1 and dark[0, 0] == 255


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_an_inverse_presentation_turns_over_once(kind, tmp_path):
    dark, _ = read_dicom(write(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1"))
    shape = {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": kind}
    assert np.array_equal(read_dicom(write(tmp_path / "b.dcm", **shape))[0], dark)
    light, _ = read_dicom(write(tmp_path / "c.dcm", PresentationLUTShape="IDENTITY"))
    assert dark[0, 0] == 255 and light[0, 0] == 0


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [None, (2, -1024)])
def test_a_window_gives_what_pydicoms_own_gives(function, slope, tmp_path):
    attributes = {"WindowCenter": [1800, 1], "WindowWidth": [1200, 2]}  # the first one counts
    if function:
        attributes["VOILUTFunction"] = function
    if slope:
        attributes |= {"RescaleSlope": slope[0], "RescaleIntercept": slope[1]}
    path = write(tmp_path / "a.dcm", **attributes)
    file = dcmread(path)
    theirs = apply_voi_lut(apply_modality_lut(file.pixel_array, file), file)
    scale, shift = slope or (1, 0)
    wanted = share(theirs, shift, 4095 * scale + shift)
    found = read_dicom(path)[0]
    assert np.abs(found.astype(int) - wanted).max() <= 1 and len(np.unique(found)) > 20


def test_signed_values_and_a_rescale_reach_the_window_in_its_own_units(tmp_path):
    pixels = RAMP.astype(np.int16) - 1900
    window = {"WindowCenter": 0.5, "WindowWidth": 1, "RescaleSlope": 1, "RescaleIntercept": -100}
    grey, _ = read_dicom(write(tmp_path / "a.dcm", pixels, bits=16, **window))
    assert np.array_equal(grey, np.where(pixels - 100 > 0, 255, 0))


@pytest.mark.parametrize("bits", [8, 12])
def test_lookup_tables_go_before_a_window_and_end_at_their_ends(bits, tmp_path):
    most = 2**bits - 1
    entries = np.rint(np.linspace(most, 0, 300)).astype(int)  # turned over
    grey, _ = read_dicom(
        write(
            tmp_path / "a.dcm", VOILUTSequence=table(entries.tolist(), 1000, bits),
            WindowCenter=0, WindowWidth=1,
        )
    )  # fmt: skip
    wanted = entries[np.clip(RAMP.astype(int) - 1000, 0, 299)]
    assert np.array_equal(grey, share(wanted, 0, most))
    assert grey[0, 0] == 255 and grey[-1, -1] == 0


@pytest.mark.parametrize("declared", [8, 10, 12, 16])
def test_the_brightness_of_a_table_is_that_of_the_bits_its_entries_take(declared, tmp_path):
    entries = np.rint(np.linspace(0, 4000, 3900)).astype(int)
    tables = [table(entries.tolist(), 0, bits) for bits in (12, declared)]
    wanted, found = (
        read_dicom(write(tmp_path / f"{n}.dcm", VOILUTSequence=one))[0]
        for n, one in enumerate(tables)
    )
    assert np.array_equal(found, wanted) and found.max() > 240
    turned, _ = read_dicom(
        write(tmp_path / "m.dcm", VOILUTSequence=tables[1], PhotometricInterpretation="MONOCHROME1")
    )
    assert np.abs(turned.astype(int) + found - 255).max() <= 1


def test_a_table_that_takes_all_but_one_of_its_bits_keeps_its_brightness(tmp_path):
    entries = np.rint(np.linspace(0, 1999, 3900)).astype(int)
    path = write(tmp_path / "a.dcm", VOILUTSequence=table(entries.tolist(), 0, 12))
    assert np.array_equal(read_dicom(path)[0], share(entries[RAMP], 0, 4095))


def test_two_8_bit_entries_in_a_word_are_both_read(tmp_path):
    entries = np.arange(256, dtype=np.uint8)
    packed = table(entries.view("<u2").tolist(), 0, 8, count=256)
    pixels = np.arange(480, dtype=np.uint16).reshape(24, 20) % 256
    assert np.array_equal(
        read_dicom(write(tmp_path / "a.dcm", pixels, VOILUTSequence=packed))[0], pixels
    )


def test_a_table_of_signed_values_may_begin_below_zero(tmp_path):
    pixels = RAMP.astype(np.int16) - 1900
    entries = np.arange(4000).tolist()
    grey, _ = read_dicom(
        write(tmp_path / "a.dcm", pixels, VOILUTSequence=table(entries, 2**16 - 1900, 12))
    )
    assert np.array_equal(grey, share(RAMP.astype(float), 0, 4095))


def test_so_may_one_of_values_that_happen_not_to_be_negative(tmp_path):
    path = write(
        tmp_path / "a.dcm", RAMP.astype(np.int16) // np.int16(2),
        VOILUTSequence=table(range(4000), 2**16 - 1024, 12),
    )  # fmt: skip
    assert np.array_equal(read_dicom(path)[0], share(RAMP // 2 + 1024.0, 0, 4095))


def test_rescaled_values_go_through_a_table_in_their_own_units(tmp_path):
    entries = np.arange(4000).tolist()
    path = write(
        tmp_path / "a.dcm", VOILUTSequence=table(entries, 500, 12), RescaleSlope=0.5,
        RescaleIntercept=500,
    )  # fmt: skip
    assert np.array_equal(read_dicom(path)[0], share(RAMP / 2, 0, 4095))


UNUSABLE = [
    {"WindowCenter": 1000, "WindowWidth": 0}, {"WindowCenter": 1000, "WindowWidth": -5},
    {"WindowCenter": ["", ""], "WindowWidth": ["", ""]}, {"WindowCenter": "", "WindowWidth": ""},
    {"WindowCenter": 1000}, {"RescaleSlope": 0, "RescaleIntercept": 3}, {"VOILUTSequence": []},
    {"VOILUTSequence": Sequence([Dataset()])},
]  # fmt: skip


@pytest.mark.parametrize("attributes", UNUSABLE)
def test_a_window_table_or_rescale_that_cannot_be_used_is_passed_over(attributes, tmp_path):
    plain, _ = read_dicom(write(tmp_path / "a.dcm"))
    assert np.array_equal(read_dicom(write(tmp_path / "b.dcm", **attributes))[0], plain)


def test_the_first_window_that_can_be_used_counts(tmp_path):
    wanted, _ = read_dicom(write(tmp_path / "a.dcm", WindowCenter=1800, WindowWidth=1200))
    windows = {"WindowCenter": [100, 1800, 5], "WindowWidth": [0, 1200, 50]}
    assert np.array_equal(read_dicom(write(tmp_path / "b.dcm", **windows))[0], wanted)


def test_a_modality_table_comes_before_the_window(tmp_path):
    entries = [0] * 1000 + [500] * 3000
    path = write(
        tmp_path / "a.dcm", ModalityLUTSequence=table(entries, 0, 12), WindowCenter=250,
        WindowWidth=100,
    )  # fmt: skip
    assert np.array_equal(read_dicom(path)[0], np.where(RAMP < 1000, 0, 255))


@pytest.mark.parametrize(
    ("told", "view"), [("PA", "frontal"), ("AP", "frontal"), ("LL", "lateral"), ("XTABLE", None)]
)
def test_the_view_position_tells_the_projection(told, view, tmp_path):
    path = write(tmp_path / "scan", ViewPosition=told)  # known without its ending
    assert is_dicom(path) and read_image(path)[1] == view


BAD = [
    ({"NumberOfFrames": 3, "pixels": np.stack([RAMP] * 3)}, "found 3 frames"),
    ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "found one in colour"),
    ({"Rows": None, "Columns": None}, "without an image"),
    ({"PixelData": b"\0" * 100}, "expected a whole DICOM image"),
    ({"PixelData": None}, "expected a whole DICOM image"),
    ({"VOILUTSequence": table([0, 1], 0, 12, count=100)}, "its lookup table is cut short"),
    ({"pixels": np.zeros((2, 60), np.uint16)}, "60 x 2 pixels"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of what is wrong, while it is written
@pytest.mark.parametrize(("attributes", "message"), BAD)
def test_what_is_not_one_grey_image_is_one_line_without_the_patient(attributes, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        read_dicom(write(tmp_path / "a.dcm", **attributes))
    assert str(caught.value).startswith(f"{tmp_path / 'a.dcm'}: ")
    assert "Doe" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("syntax", "package"),
    [
        (JPEGLSLossless, "pylibjpeg pylibjpeg-libjpeg"),
        (HTJ2KLossless, "pylibjpeg pylibjpeg-openjpeg"),
        (JPEG2000Lossless, "pylibjpeg pylibjpeg-openjpeg"),
    ],
)
def test_a_compression_without_its_decoder_names_the_package(
    syntax, package, tmp_path, monkeypatch
):
    monkeypatch.setattr(Decoder, "is_available", property(lambda decoder: False))
    path = write(tmp_path / "a.dcm", syntax=syntax)
    with pytest.raises(UserError, match=f"cannot be read here; `pip install {package}`"):
        read_dicom(path)


def test_a_file_cut_short_and_another_files_content_are_one_line(tmp_path):
    whole = write(tmp_path / "a.dcm").read_bytes()
    for number, content in enumerate((whole[:200], whole[:-50], b"", b"text", whole[200:])):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(content)
        wanted = "DICOM without an image" if number == 0 else "expected a whole DICOM image"
        with pytest.raises(UserError, match=wanted):
            read_dicom(path)


def without_syntax(path):
    file = dcmread(path)
    del file.file_meta.TransferSyntaxUID
    file.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)


def without_preamble(path):
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\0\x16\0UI") :])


@pytest.mark.parametrize("spoil", [without_syntax, without_preamble])
def test_a_file_without_its_header_is_read_where_it_can_be(spoil, tmp_path):
    plain, _ = read_dicom(write(tmp_path / "a.dcm"))
    spoil(write(tmp_path / "scan"))
    assert is_dicom(tmp_path / "scan") and np.array_equal(read_image(tmp_path / "scan")[0], plain)


def test_compressed_values_of_no_told_syntax_are_refused_with_what_to_do(tmp_path):
    path = write(tmp_path / "a.dcm", syntax=JPEG2000Lossless)
    without_syntax(path)
    with pytest.raises(UserError, match=r"tells its transfer syntax, found none.*to PNG"):
        read_dicom(path)


def test_a_png_of_another_ending_is_read_by_what_it_is(tmp_path):
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dcm")
    assert np.array_equal(read_image(tmp_path / "a.dcm")[0], RAMP.astype(np.uint8))


def test_what_holds_no_image_lies_beside_those_of_a_study(tmp_path):
    first = write(tmp_path / "1.dcm")
    write(tmp_path / "DICOMDIR", Rows=None, Columns=None, PixelData=None)
    write(tmp_path / "sr.dcm", Rows=None, Columns=None, PixelData=None)
    assert [study.paths for study in studies_of([tmp_path], 2)] == [(first,)]
    (tmp_path / "2.dcm").write_bytes(b"damaged")  # that is told, not passed over
    assert len(studies_of([tmp_path], 2)[0].paths) == 2
    first.unlink()
    (tmp_path / "2.dcm").unlink()
    with pytest.raises(UserError, match="found none; folders inside"):
        studies_of([tmp_path], 2)


def test_an_image_too_large_for_memory_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom, "MOST_PIXELS", 100)
    with pytest.raises(UserError, match="an image of 20 x 24 pixels"):
        read_dicom(write(tmp_path / "a.dcm"))


# Files of real scanners, which come with pydicom

REAL = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize("kind", ["RLE", "bigendian", "implicit", "expb", "jp2klossless", "padded"])
def test_a_scanners_image_is_the_same_however_it_is_written(kind):
    plain, _ = read_dicom(REAL / "MR_small.dcm")
    assert np.array_equal(read_dicom(REAL / f"MR_small_{kind}.dcm")[0], plain)
    assert np.ptp(plain) > 200


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MR_truncated", "expected a whole DICOM image"),
        ("SC_rgb_jpeg", "found one in colour"),
        ("examples_ybr_color", "found 30 frames"),
        ("waveform_ecg", "without an image"),
        ("test-SR", "without an image"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_file_that_is_no_grey_image_is_one_line(name, told):
    with pytest.raises(UserError, match=told) as caught:
        read_dicom(REAL / f"{name}.dcm")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_every_real_file_is_an_image_or_one_line():
    read = 0
    for path in sorted(REAL.glob("*.dcm")):
        try:
            grey, _ = read_dicom(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert grey.dtype == np.uint8 and grey.ndim == 2
            read += 1
    assert read >= 15
