"""MIMIC-CXR at its real size, made up: memory does not grow with it, packing goes on."""

import json
import subprocess
import sys
import time

import pytest
from mimic_tree import make_studies, write_annotation, write_reports, write_tables, write_tree
from tiny import TOP

PACK = """
import json, re, sys
from pathlib import Path
import numpy as np
from rcan.data.sets.mimic_cxr import catalogue
from rcan.data.preprocess import preprocess

def draw(path):
    return np.random.default_rng(list(path.name.encode())).integers(0, 256, (8, 8), np.uint8)

place, side, is_drawn = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "drawn"
if is_drawn:
    catalogue.read_grey = draw
summary = preprocess(
    name="mimic_cxr", root=place / "raw", image_size=side, fit="squash", seed=1, num_train=1,
    num_val=1, num_test=1, out=place / "out", work=place / "work",
)
# The kernel's own mark of this program; getrusage's takes that of the program that started it.
used = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps([sum(s["studies"] for s in summary["splits"].values()), used]))
"""
BYTES_A_STUDY = 150  # of memory; its row of the packing, its number, the allocator's slack


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


def laid_out(root, layout: str, number: int) -> int:
    """A folder of `number` studies with empty images and reports of about 1,000 characters; return
    how many a reader keeps."""
    made = make_studies(number, patients=max(3, number * 2 // 7))
    for one in made:
        if one.expected:
            one.text = one.text.replace(one.expected.encode(), one.expected.encode() * 5)
            one.expected *= 5
    with_findings = [one for one in made if one.expected]
    if layout == "PhysioNet":
        write_tables(root, made, twice=10)
        write_reports(root / "mimic-cxr-reports/files", made)
    else:
        root.mkdir(parents=True)
        write_annotation(root, made)
    for one in with_findings:
        folder = root / "files" / one.place
        folder.mkdir(parents=True)
        for name, _ in one.images:
            (folder / f"{name}.jpg").touch()
    one_each = layout == "PhysioNet"
    return len(with_findings) if one_each else sum(len(one.images) for one in with_findings)


@pytest.mark.parametrize("layout", ["PhysioNet", "R2Gen"])
def test_memory_does_not_grow_with_the_data(tmp_path, run, amount, layout):
    used = []
    numbers = amount(1_000, 56_566), amount(6_000, 226_266)  # the last is the real one
    for number in numbers:
        wanted = laid_out(tmp_path / f"{number}/raw", layout, number)
        start = time.monotonic()
        studies, peak = finished(run(PACK, tmp_path / f"{number}", 8, "drawn"))
        assert studies == wanted
        seconds = time.monotonic() - start
        print(f"{layout}, {number}: {studies} kept, {peak / 2**20:.0f} MiB, {seconds:.0f} s")
        used.append(peak)
    assert used[1] - used[0] < 12 * 2**20 + BYTES_A_STUDY * (numbers[1] - numbers[0])


def test_a_packing_that_is_killed_goes_on_to_the_bytes_of_one_that_is_not(
    tmp_path, run, amount, torture, figure
):
    number = amount(90, 4_000)
    write_tree(tmp_path / "raw", make_studies(number), side=64)
    killed = run(PACK, tmp_path, 64, "read")
    kept = 0
    while killed.poll() is None and kept < torture:
        kept = sum(path.read_bytes()[64:].count(1) for path in tmp_path.glob("work/*/train.done"))
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    start = time.monotonic()
    studies, peak = finished(run(PACK, tmp_path, 64, "read"))
    seconds = time.monotonic() - start
    print(
        f"{studies} studies: {studies / seconds:.0f} a second, {peak / 2**20:.0f} MiB, kept {kept}"
    )
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/raw").symlink_to(tmp_path / "raw")
    assert finished(run(PACK, tmp_path / "whole", 64, "read"))[0] == studies == number - number // 3
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "whole/out" / path.name).read_bytes(), path.name
    assert not any((tmp_path / "work").iterdir())
    figure("killed", "kills in the packing of MIMIC-CXR's layout", 1)
