"""Images cut anywhere, too large, or something else: missing, or one line; memory stays small."""

import subprocess
import sys

import pytest
from cases import INSTEAD, put
from formats_of_images import FILES, png
from formats_of_images import read_image as read
from layouts import LISTED, write_r2gen

from rcan.data.packing import Packing
from rcan.data.sets.iu_xray import read_iu_xray

KIND = "images"
# What Pillow only warns of, of EXIF data that nobody reads, goes by unsaid, as in the program.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.png"


def test_every_cut_of_a_file(path, amount, figure):
    whole = 0
    cuts = [(c, n) for c in FILES for n in range(0, len(c), amount(len(c) // 4, len(c) // 60 + 1))]
    for content, length in cuts:
        path.write_bytes(content[:length])
        whole += read(path)
    assert whole < len(cuts) / 4  # what is cut off behind the pixels is not missed
    figure("bad input", KIND, len(cuts))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place_is_missing_or_unreadable(tmp_path, instead, figure):
    write_r2gen(tmp_path)
    put(tmp_path / "images" / LISTED[0].id / "0.png", instead)
    images = read_iu_xray(tmp_path, LISTED).studies[0].images
    there = [image for image in images if image.version is not None]
    assert len(there) == 1 + (instead == "pickled code")
    packing = Packing(there, key="0" * 64, size=8, fit="pad", array=tmp_path / "train.npy")
    assert packing.run() == [0][: len(there) - 1]  # unreadable; the other one is packed
    figure("bad input", KIND, 1)


def test_a_large_image_is_refused_also_where_warnings_are_not_errors(path, figure):
    """Pillow's limit is 89 million pixels, its error comes at twice that."""
    path.write_bytes(png(10000, 10000))
    program = "import sys; from pathlib import Path; from rcan.data.images import read_grey as r\n"
    program += "try: r(Path(sys.argv[1]))\nexcept ValueError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "too large to unpack safely" in done.stdout and done.stderr == ""
    figure("bad input", KIND, 1)


def test_a_deep_image_near_the_limit_takes_little_memory(path, figure):
    path.write_bytes(png(6000, 6000, 16))
    program = (
        "import resource, sys; from pathlib import Path; from rcan.data.images import read_grey\n"
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert read_grey(Path(sys.argv[1])).shape == (6000, 6000)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 350  # MB; three arrays of 8 bytes a pixel would be 824
    figure("bad input", KIND, 1)
