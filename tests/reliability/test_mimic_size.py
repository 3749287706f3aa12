"""MIMIC-CXR at its real size, made up: memory grows with the rows alone, packing goes on."""

import json
import subprocess
import sys
import time

import pytest
from mimic_tree import make_studies, write_tables, write_tree
from tiny import TOP

# The kernel's own mark of this program; getrusage's takes that of the program that started it.
USED = """
import json, re, sys
def used():
    status = open("/proc/self/status").read()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024
"""
PEAK = f"""{USED}
from pathlib import Path
from rcan.data.mimic_cxr.listing import labels_beside, listed_studies
from rcan.data.mimic_cxr.problems import Met
before = used()
studies, labels = listed_studies(Path(sys.argv[1]), Met()), labels_beside(Path(sys.argv[1]))
images = sum(len(study.images) for study in studies.values())
print(json.dumps([len(studies), images, len(labels), used() - before]))
"""
PACK = f"""{USED}
from pathlib import Path
from rcan.data.preprocess import preprocess
place = Path(sys.argv[1])
summary = preprocess(
    name="mimic_cxr", root=place / "raw", image_size=64, fit="squash", seed=1, num_train=1,
    num_val=1, num_test=1, out=place / "out", work=place / "work",
)
print(json.dumps([sum(s["studies"] for s in summary["splits"].values()), used()]))
"""
BYTES_A_ROW = 2_000  # of the tables, dictionaries and strings included


@pytest.fixture
def run():
    def run(code, *arguments, **options):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True, **options)

    return run


def finished(started) -> list:
    out, _ = started.communicate()
    assert started.returncode == 0
    return json.loads(out)


def test_the_tables_are_read_in_memory_that_their_rows_bound(tmp_path, run, amount):
    number = amount(3_000, 226_266)  # of studies; the long version has the 377,110 images
    write_tables(tmp_path, make_studies(number, patients=max(3, number * 2 // 7)), twice=10)
    start = time.monotonic()
    studies, images, labels, peak = finished(run(PEAK, tmp_path))
    print(f"{images} rows: {peak / 2**20:.0f} MiB, {time.monotonic() - start:.1f} s")
    assert (studies, labels) == (number, number) and images == number * 10 // 6
    assert peak < 8 * 2**20 + BYTES_A_ROW * images  # libraries that load on the way, besides


def test_a_packing_that_is_killed_goes_on_to_the_bytes_of_one_that_is_not(
    tmp_path, run, amount, figure
):
    number = amount(90, 4_000)
    write_tree(tmp_path / "raw", make_studies(number), side=64)
    killed = run(PACK, tmp_path)
    kept = 0
    while killed.poll() is None and kept < amount(0, 1):
        kept = sum(path.read_bytes()[32:].count(1) for path in tmp_path.glob("work/*/train.done"))
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    start = time.monotonic()
    studies, peak = finished(run(PACK, tmp_path))
    seconds = time.monotonic() - start
    print(
        f"{studies} studies: {studies / seconds:.0f} a second, {peak / 2**20:.0f} MiB, kept {kept}"
    )
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/raw").symlink_to(tmp_path / "raw")
    assert finished(run(PACK, tmp_path / "whole"))[0] == studies == number - number // 3
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "whole/out" / path.name).read_bytes(), path.name
    assert not any((tmp_path / "work").iterdir())
    figure("killed", "kills in the packing of MIMIC-CXR's layout", 1)
