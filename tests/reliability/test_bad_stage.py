"""What ends a stage early is one line with a remedy; a fault of our own keeps its traceback."""

import errno
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from cases import attempt, check_message, seeded
from hypothesis import given
from hypothesis import strategies as st
from tiny import TOP

from pipeline.stage import run
from rcan.data.preprocess import process
from rcan.data.raw import RawDataSet, RawImage, RawStudy
from rcan.data.store import open_split
from rcan.errors import UserError
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

KIND = "stages"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with sound settings, in which stages run; signals are as before afterwards."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(TOP / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def deep(_):
    json.loads("[" * 100_000)


def large(_):
    torch.empty(2**50)


def no_utf8(_):
    b"\xff".decode()


def half_a_pair(_):
    "\ud800".encode()


def throw(error):
    def stage(_):
        raise error

    return stage


TOLD = {
    "too deep": deep, "more memory than there is": large, "bytes that are no text": no_utf8,
    "text that is no bytes": half_a_pair, "Python's memory": throw(MemoryError()),
    "NumPy's memory": throw(np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("f8"))),
    "a full disk": throw(OSError(errno.ENOSPC, "No space left on device", "runs/main")),
    "a vanished file": throw(FileNotFoundError(errno.ENOENT, "No such file", "x\n\x1b[31m")),
    "a folder": throw(IsADirectoryError(errno.EISDIR, "Is a directory", "data")),
    "bad input": throw(UserError("a\nb\x1b\ud800: expected c; mend it")),
}  # fmt: skip


@pytest.mark.parametrize("what", TOLD)
def test_what_a_user_can_mend_is_one_line(what, folder, figure):
    with pytest.raises(SystemExit) as ended:
        run(TOLD[what])
    message = str(ended.value)
    assert message.startswith("error: ")
    check_message(message.removeprefix("error"))
    figure("bad input", KIND, 1)


ANY_WORD = [  # as they come where memory ends: of a call, a module, an image
    SystemError("error return without exception set"),
    ValueError("field 'target' is required for AnnAssign"),
    OSError("codec configuration error when writing image file"),
]


@pytest.mark.parametrize("error", ANY_WORD, ids=lambda error: type(error).__name__)
def test_any_error_where_memory_ends_tells_of_memory(error, folder, figure, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(SystemExit, match="too little memory") as ended:
        run(throw(error))
    check_message(str(ended.value).removeprefix("error"))
    figure("bad input", KIND, 1)


OURS = [
    KeyError("x"), ValueError("x"), TypeError("x"), IndexError("x"), ZeroDivisionError("x"),
    AssertionError("x"), RuntimeError("shapes differ"), AttributeError("x"), NotImplementedError(),
]  # fmt: skip


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_a_fault_of_our_own_keeps_its_traceback(error, folder, figure):
    with pytest.raises(type(error)) as caught:
        run(throw(error))
    assert caught.value is error
    figure("bad input", KIND, 1)


BAD = {
    "a wrong value": ("tau: 0.1", "tau: -1", {}),
    "too deep settings": ("tau: 0.1", f"tau: {'[' * 30_000}", {}),
    "no folder of data": ("name: demo", "name: iu_xray", {"RCAN_DATA": "/none\n/here"}),
    "a folder that is no text": ("name: demo", "name: iu_xray", {"RCAN_DATA": b"/n\xff"}),
    "a home of nobody": ("name: demo", "name: iu_xray", {"RCAN_DATA": "~nobody-x/data"}),
}


@pytest.mark.parametrize("case", BAD)
def test_a_whole_stage_tells_it_in_one_line_too(case, folder, amount, figure):
    amount(case == "a folder that is no text", True)  # a process each
    old, new, variables = BAD[case]
    path = folder / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.preprocess"], capture_output=True,
        env={**os.environ, "PYTHONPATH": str(TOP), **variables},
    )  # fmt: skip
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    check_message(line)
    figure("bad input", KIND, 1)


# Reports that hold anything go through all stages as they are


def data_of(reports: list[str]) -> RawDataSet:
    pixels = np.full((8, 8), 9, dtype=np.uint8)
    studies = [
        RawStudy(f"CXR{n}", split, report, (RawImage(f"{n}", lambda: pixels, None, "1"),))
        for n, (split, report) in enumerate(zip(("train", "val", "test"), reports, strict=True))
    ]
    return RawDataSet("iu_xray", "made up", studies)


LONG = {"one long word": "x" * 300_000, "many sentences": "a. " * 100_000}
ODD = [*LONG, "\u2028", "\x1c\x1d", "\0", "1. a 2. b", "心 肺。", "a\rb\nc", ".", "...", " "]
SPACED = st.text("ab. \n\r\t\x0b\x85\u3000", max_size=9)
REPORT = st.sampled_from(ODD) | st.text(max_size=20) | SPACED


def test_an_odd_report_comes_out_as_it_went_in_or_is_counted(
    tmp_path, amount, figure, monkeypatch, capsys
):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    counted = Counter()

    @seeded(amount(16, 250))
    @given(st.lists(REPORT, min_size=3, max_size=3))
    def of_reports(reports):
        reports = [LONG.get(r, r).encode("utf-8", "replace").decode() for r in reports]
        data = data_of([f"The heart is big. {report}" for report in reports[:2]] + reports[2:])
        out = tmp_path / "out"
        made = attempt(
            lambda: process(data, image_size=8, fit="pad", out=out, work=tmp_path / "work"),
            "iu_xray",
        )
        counted[made is not None] += 1
        clean = clean_iu_xray
        if made is None:  # the only study of test has nothing to read
            assert not clean(reports[2]).replace(".", "").strip()
            return
        for study in data.studies:
            [kept] = open_split(out, study.split).studies
            assert (kept.report, kept.text) == (study.report, clean(study.report))
        words = Tokenizer.train([kept.text], 1)
        words.save(tmp_path / "tokenizer.json")
        read = Tokenizer.load(tmp_path / "tokenizer.json")
        known = kept.text.split()[:50]
        back = read.decode(read.encode(kept.text, 50))
        assert read.vocabulary == words.vocabulary and back.split()[: len(known)] == known

    of_reports()
    assert counted[True] and counted[False]
    printed = capsys.readouterr().out
    assert re.fullmatch(r"(iu_xray [^\n]*\n)*", printed)
    figure("bad input", KIND, counted.total())
