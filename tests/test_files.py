"""Writing: a reader never meets half a file, and equal content is an equal file."""

import os
import subprocess

import pytest

from rcan import files
from rcan.files import digest_of, sha256_of, write_csv, write_json, write_text


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_it_is_with_the_folders_it_needs(tmp_path):
    path = tmp_path / "a" / "b" / "page.md"
    write_text(path, "λ = 0.7\nend\n")
    assert path.read_bytes() == "λ = 0.7\nend\n".encode()
    assert names(path.parent) == ["page.md"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_midway_leaves_the_old_file_and_nothing_else(step, tmp_path, monkeypatch):
    path = tmp_path / "scores.json"
    write_json(path, {"old": 1})

    def fail(*_):
        raise OSError("disk is full")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="disk is full"):
        write_json(path, {"new": 2})
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert names(tmp_path) == ["scores.json"]


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "scores.json", {"set": {1}})
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "page.md", "\ud800")
    assert names(tmp_path) == []


def test_a_file_is_never_seen_half_written(tmp_path, monkeypatch):
    path = tmp_path / "page.md"
    write_text(path, "old")
    seen = []
    replace = os.replace

    def look(source, target):
        seen.append((path.read_text(), source.read_text()))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", look)
    write_text(path, "new")
    assert seen == [("old", "new")]
    assert path.read_text() == "new"


def test_json_is_the_same_whatever_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": "λ", "c": None}})
    write_json(tmp_path / "b.json", {"a": {"c": None, "d": "λ"}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert "λ" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_csv_has_the_first_rows_columns_and_refuses_others(tmp_path):
    path = tmp_path / "history.csv"
    write_csv(path, [{"epoch": 1, "loss": 0.1}, {"loss": 1e-05, "epoch": 2}])
    assert path.read_text() == "epoch,loss\n1,0.1\n2,1e-05\n"
    with pytest.raises(ValueError, match="a row has other columns: other"):
        write_csv(path, [{"epoch": 1}, {"epoch": 2, "other": 3}])
    assert path.read_text().startswith("epoch,loss\n")


def test_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_of(tmp_path / "empty") == empty


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [1, 2], "x": 1}}, True),
        ([1, 2], [2, 1], False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": None}, {}, False),
        ({"a": 0.1}, {"a": 0.1000000001}, False),
    ],
)
def test_a_digest_names_a_value_whatever_the_order_of_its_keys(one, other, equal):
    assert (digest_of(one) == digest_of(other)) is equal
    assert len(digest_of(one)) == 32


def test_what_a_killed_process_left_beside_is_removed_and_a_living_ones_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = os.uname().nodename
    left, living = (f".page.md.{host}.{pid}.tmp" for pid in (dead.pid, os.getppid()))
    elsewhere, other = f".page.md.other-host.{dead.pid}.tmp", f".page.{host}.{dead.pid}.tmp"
    for name in (left, living, elsewhere, other):
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "page.md", "new")
    assert names(tmp_path) == sorted([living, elsewhere, other, "page.md"])
