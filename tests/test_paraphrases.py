"""A kept part of METEOR's table of paraphrases gives the same counts; a damaged one is not used."""

import errno
import gzip
import random
import subprocess
import sys

import pytest
from tiny import TOP

from rcan.evaluation import paraphrases
from rcan.evaluation.meteor import meteor_counts
from rcan.evaluation.paraphrases import KeptParts, part_of, words_of

TABLE = """0.5
clear
free
0.4
clear
free of disease
0.3
heart size
cardiac size
0.2
u.s.
us
0.1
x-ray 's
x-rays
0.1
größe
size
"""


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.gz"
    path.write_bytes(gzip.compress(TABLE.encode()))
    return path


def entries(part: bytes) -> list[tuple[str, str]]:
    lines = part.decode().split("\n")
    assert lines.pop() == "" and len(lines) % 3 == 0
    return list(zip(lines[1::3], lines[2::3], strict=True))


def test_the_words_are_all_that_the_jar_could_make_of_a_text():
    assert words_of(["Clear lungs.", "X-ray's 1.5cm, no."]) == {
        "clear", "lungs", "x", "ray", "s", "1", "5cm", "15cm", "no",
    }  # fmt: skip
    assert words_of(["u.s.-based"]) == {"u", "s", "based", "us"}
    assert words_of(["lungs..u.s. clear"]) == {"lungs", "u", "s", "us", "clear"}
    assert words_of(["seen...E.g."]) == {"seen", "e", "g", "eg"}
    assert words_of([]) == set()


@pytest.mark.parametrize("text", ["größe", "aDOTMULTIb", "DOT.MULTIus.", "x\u2028y"])
def test_the_words_of_some_texts_cannot_be_told(text):
    assert words_of(["clear", text]) is None


@pytest.mark.parametrize("chunk", [1, 7, 1 << 24])
def test_a_part_has_the_entries_of_these_words_alone_in_their_order(whole, chunk, monkeypatch):
    monkeypatch.setattr(paraphrases, "CHUNK", chunk)
    clear = [("clear", "free"), ("clear", "free of disease")]
    assert entries(part_of(whole, {"clear", "free", "of", "disease", "size"})) == clear
    assert entries(part_of(whole, {"clear", "free"})) == clear[:1]
    assert entries(part_of(whole, {"u", "s", "us"})) == [("u.s.", "us")]
    assert entries(part_of(whole, {"x", "ray", "s", "rays"})) == [("x-ray 's", "x-rays")]
    assert part_of(whole, {"size", "gr", "e"}) == b""


def test_a_part_is_made_once_and_serves_all_texts_of_its_words(whole, tmp_path):
    folder = tmp_path / "parts"
    first = KeptParts(folder, ["free", "größe"]).part_for(whole, "d1", ["clear lungs"])
    assert entries(gzip.decompress(first.read_bytes())) == [("clear", "free")]
    before = first.stat().st_mtime_ns
    assert KeptParts(folder).part_for(whole, "d1", ["free", "clear"]) == first
    assert first.stat().st_mtime_ns == before
    wider = KeptParts(folder).part_for(whole, "d1", ["us u.s. clear free lungs"])
    assert entries(gzip.decompress(wider.read_bytes())) == [("clear", "free"), ("u.s.", "us")]
    assert KeptParts(folder).part_for(whole, "d1", ["free"]) == first  # the smallest that has it
    assert KeptParts(folder).part_for(whole, "d2", ["free"]) not in (first, wider)
    assert KeptParts(folder).part_for(whole, "d1", ["größe"]) == whole


@pytest.mark.parametrize("harm", ["table", "no table", "half words", "other words", "no words"])
def test_a_damaged_part_is_made_again(whole, tmp_path, harm):
    parts = KeptParts(tmp_path / "parts")
    path = parts.part_for(whole, "d1", ["clear free"])
    good, about = path.read_bytes(), path.with_suffix(".json")
    if harm == "table":
        path.write_bytes(good[:-9])
    elif harm == "no table":
        path.unlink()
    elif harm == "half words":
        about.write_text(about.read_text()[:-9])
    elif harm == "other words":  # it claims what it has not
        about.write_text(about.read_text().replace("free", "size"))
    else:
        about.write_text('{"words": [["clear"]], "sha256": ""}')
    assert parts.part_for(whole, "d1", ["clear free"]).read_bytes() == good
    wanted = [("clear", "free")]
    again = parts.part_for(whole, "d1", ["free clear size"])
    assert entries(gzip.decompress(again.read_bytes())) == wanted


def test_where_nothing_can_be_written_the_whole_table_serves(whole, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    parts = KeptParts(tmp_path / "file" / "parts")
    assert parts.part_for(whole, "d1", ["clear free"]) == whole

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(paraphrases.gzip, "compress", full)
    parts = KeptParts(tmp_path / "parts")
    assert parts.part_for(whole, "d1", ["clear free"]) == whole
    assert list(parts.folder.iterdir()) == []


MAKE = """
import sys
from pathlib import Path
from rcan.evaluation.paraphrases import KeptParts
KeptParts(Path(sys.argv[2])).part_for(Path(sys.argv[1]), "d1", ["clear free"])
"""


def test_several_processes_at_once_make_one_part(whole, tmp_path):
    folder = tmp_path / "parts"
    command = [sys.executable, "-c", MAKE, str(whole), str(folder)]
    several = [subprocess.Popen(command, cwd=TOP) for _ in range(3)]
    assert [process.wait(60) for process in several] == [0, 0, 0]
    assert sorted(path.suffix for path in folder.iterdir()) == [".gz", ".json"]


def test_the_jar_counts_the_same_by_a_part_as_by_the_whole_table(tmp_path):
    words = "the heart is was large big small little no not without any evidence signs seen found"
    words += " appears seems remains stays unchanged the same in on of there were are there"
    odd = ["u.s.", "e.g.", "dr.", "no.5", "1,5", "1.5", "it's", "(pa/lateral)", "..", "a..b.", "-"]
    some = [*words.split(), *odd]
    chosen = random.Random(1)
    texts = [
        "".join(chosen.choice(some) + chosen.choice(["", " ", " ", " "]) for _ in range(length))
        for length in range(1, 41)
        for _ in range(10)
    ]
    pairs = texts, texts[::-1]
    by_whole = meteor_counts(*pairs)
    assert by_whole[:, 16:20].sum() > 100  # matched as paraphrases
    assert (meteor_counts(*pairs, parts=KeptParts(tmp_path)) == by_whole).all()
