"""A kept part of METEOR's table of paraphrases gives the same counts; a damaged one is not used."""

import gzip
import random

import pytest

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
    assert words_of([]) == set()
    assert words_of(["größe"]) is None and words_of(["aDOTMULTIb"]) is None


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
    first = KeptParts(folder, ["free"]).part_for(whole, ["clear lungs"])
    assert entries(gzip.decompress(first.read_bytes())) == [("clear", "free")]
    before = first.stat().st_mtime_ns
    assert KeptParts(folder).part_for(whole, ["free", "clear"]) == first
    assert first.stat().st_mtime_ns == before
    wider = KeptParts(folder).part_for(whole, ["us u.s."])  # what was asked for before stays in
    assert entries(gzip.decompress(wider.read_bytes())) == [("clear", "free"), ("u.s.", "us")]
    assert KeptParts(folder).part_for(whole, ["größe"]) == whole


@pytest.mark.parametrize("harm", ["table", "words", "no table"])
def test_a_damaged_part_is_made_again(whole, tmp_path, harm):
    parts = KeptParts(tmp_path / "parts")
    path = parts.part_for(whole, ["clear free"])
    good = path.read_bytes()
    if harm == "table":
        path.write_bytes(good[:-9])
    elif harm == "words":
        path.with_suffix(".json").write_text("{")
    else:
        path.unlink()
    assert parts.part_for(whole, ["clear free"]).read_bytes() == good


def test_where_nothing_can_be_written_the_whole_table_serves(whole, tmp_path):
    (tmp_path / "file").touch()
    assert KeptParts(tmp_path / "file" / "parts").part_for(whole, ["clear free"]) == whole


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
