"""X-rays in DICOM: what a screen would show, and one line for what cannot be shown."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import RAMP, write
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.pixels.decoders.base import Decoder
from pydicom.sequence import Sequence
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless

from rcan.errors import UserError
from rcan.sharing import dicom
from rcan.sharing.dicom import is_dicom, read_dicom
from rcan.sharing.given import read_image


def table(entries, first, bits) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
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
    ({"WindowCenter": 100, "WindowWidth": 0}, "expected a whole DICOM image"),
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
