"""Damaged or edited processed data: what was written, or one line; counts must be the summary's."""

import contextlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cases import GARBAGE, INSTEAD, attempt, damaged, edited, put, remove, seeded
from fabricated import write_summary
from hypothesis import given
from hypothesis import strategies as st

from rcan.data.store import open_split, read_summary
from rcan.files import digest_of, sha256_of

KIND = "processed data"
REMEDY = "run `dvc repro preprocess`"
SIZE, ROWS = 6, 9


def record(number: int, rows: list[int]) -> dict:
    views = [{"row": row, "projection": p} for row, p in zip(rows, ("frontal", None), strict=False)]
    text = f"study {number} is clear ."
    return {"id": f"CXR{number}", "report": text, "text": text, "views": views, "labels": None}


RECORDS = [record(1, [0, 1]), record(2, [2]), record(3, [3, 4]), record(4, [5, 8])]
PIXELS = np.random.default_rng(0).integers(0, 256, (ROWS, SIZE, SIZE), dtype=np.uint8)
NAMES = ("summary.json", "val.jsonl", "val.npy")


def lines(records: list) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files of one split: name -> content."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "val.jsonl").write_text(lines(RECORDS), encoding="utf-8")
    np.save(folder / "val.npy", PIXELS)
    write_summary(folder, image_size=SIZE)
    return {name: (folder / name).read_bytes() for name in NAMES}


@pytest.fixture
def folder(tmp_path, made):
    """A whole split, to be damaged."""
    for name in NAMES:
        (tmp_path / name).write_bytes(made[name])
    return tmp_path


def put_back(folder: Path, made: dict[str, bytes], name: str) -> None:
    remove(folder / name)
    (folder / name).write_bytes(made[name])


def read(folder: Path) -> bool:
    """Whether the split was opened; then every study is as written, every pixel as in the file."""
    split = attempt(lambda: open_split(folder, "val"), str(folder), REMEDY)
    if split is None:
        return False
    summary = read_summary(folder)
    assert [study.id for study in split.studies] == [record["id"] for record in RECORDS]
    for study, told in zip(split.studies, RECORDS, strict=True):
        assert (study.report, study.text, study.labels) == (told["report"], told["text"], None)
        assert [{"row": v.row, "projection": v.projection} for v in study.views] == told["views"]
    assert summary["splits"]["val"].items() >= {"studies": 4, "images": 7}.items()
    assert split.images.dtype == np.uint8 and split.images.shape[1:] == (SIZE, SIZE)
    content = (folder / "val.npy").read_bytes()  # behind the header, whatever it was written by
    pixels = np.frombuffer(content, np.uint8)[split.images.offset :][: split.images.size]
    assert (split.images == pixels.reshape(split.images.shape)).all()
    split.view_rows(2)
    return True


@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes(name, folder, made, amount, figure):
    counted = Counter()

    @seeded(amount(20, 500))
    @given(damaged(made[name]))
    def of_bytes(content):
        (folder / name).write_bytes(content)
        counted[read(folder)] += 1

    of_bytes()
    assert counted[False]
    figure("bad input", KIND, counted.total())


def test_edited_values_of_the_summary(folder, made, amount, figure):
    counted = Counter()

    @seeded(amount(20, 500))
    @given(edited(json.loads(made["summary.json"])), st.booleans())
    def of_values(value, digest_mended):
        with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair has no digest
            if digest_mended and isinstance(value.get("files"), dict):
                value["digest"] = digest_of(value["files"])
        (folder / "summary.json").write_text(json.dumps(value), encoding="utf-8")
        counted[read(folder)] += 1

    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


def test_edited_studies_also_with_a_summary_that_vouches_for_them(folder, amount, figure):
    counted = Counter()
    path = folder / "val.jsonl"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    @seeded(amount(25, 800))
    @given(edited(RECORDS))
    def of_values(records):
        path.write_text(lines(records), encoding="utf-8", newline="")
        counted["unvouched"] += records != RECORDS and read(folder)
        files = summary["files"] | {"val.jsonl": sha256_of(path)}
        vouched = summary | {"files": files, "digest": digest_of(files)}
        (folder / "summary.json").write_text(json.dumps(vouched), encoding="utf-8")
        split = attempt(lambda: open_split(folder, "val"), str(folder), REMEDY)
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        counted[split is not None] += 1
        if split is not None:
            check_studies(split, records)

    def check_studies(split, records):
        """A well-formed edit is read as it stands."""
        assert [study.id for study in split.studies] == [record["id"] for record in records]
        assert [study.text for study in split.studies] == [record["text"] for record in records]
        rows = [view.row for study in split.studies for view in study.views]
        assert rows == [view["row"] for record in records for view in record["views"]]
        assert all(type(row) is int and 0 <= row < ROWS for row in rows) and len(rows) == 7
        assert split.view_rows(2).shape == (4, 2)

    of_values()
    assert counted[True] and counted[False] and not counted["unvouched"]
    figure("bad input", KIND, 2 * (counted[True] + counted[False]))


def test_a_file_of_studies_cut_at_a_line_is_not_read(folder, figure):
    whole = (folder / "val.jsonl").read_bytes()
    for kept in range(len(RECORDS)):
        (folder / "val.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
        assert not read(folder)
    (folder / "val.jsonl").write_bytes(whole + whole.splitlines(keepends=True)[0])
    assert not read(folder)
    figure("bad input", KIND, len(RECORDS) + 1)


def header(text: str, version: int = 1) -> bytes:
    """An .npy file with any header."""
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode("latin-1") + PIXELS.tobytes()


KINDS = {
    "descr": (
        "'|O'", "'<f8'", "'|i1'", "'|V1'", "'|S1'", "'|S0'", "[('a', '|u1')]", "{}", "None", "'z9'",
    ),
    "shape": (
        "(10**9, 6, 6)", f"({'9' * 40}, 6, 6)", "(-9, 6, 6)", "(9.0, 6, 6)", "(True, 6, 6)", "()",
        "(9, 36)", "(9, 6, 6, 1)", "(324,)", "(4, 9, 9)", "(0, 6, 6)", "[9, 6, 6]", "'9'",
    ),
    "fortran_order": ("1", "'yes'", "None", "True"),
}  # fmt: skip
SOUND = {"descr": "'|u1'", "fortran_order": "False", "shape": "(9, 6, 6)"}
HEADERS = [
    *(
        "{" + "".join(f"'{k}': {v}, " for k, v in (SOUND | {key: value}).items()) + "}\n"
        for key, values in KINDS.items() for value in values
    ),
    "(" * 500, "(" * 9_000, "{" * 100 + "'", "'''", "-" * 9_000 + "1", "[1]", "x" * 40, "\xff\xfe",
    "__import__('os').mkdir('ran')", "{'descr': __import__('os').mkdir('ran')}", "#", "lambda: 0",
]  # fmt: skip


@pytest.mark.parametrize("version", [1, 2, 3, 9])
def test_a_strange_header_of_images_is_one_line(folder, version, figure, monkeypatch):
    monkeypatch.chdir(folder)
    for text in HEADERS:
        (folder / "val.npy").write_bytes(header(text, version))
        assert not read(folder), text[:60]
        assert not (folder / "ran").exists()
    figure("bad input", KIND, len(HEADERS))


@pytest.mark.parametrize("name", NAMES)
def test_garbage_and_something_else_in_the_place_of_each_file(name, folder, made, figure):
    np.savez(folder / "other.npz", PIXELS)
    objects = np.array([{"a": 1}], dtype=object)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    others = [(folder / other).read_bytes() for other in ("other.npz", "objects.npy")]
    for content in [*GARBAGE, *others, *(made[other] for other in NAMES if other != name)]:
        (folder / name).write_bytes(content)
        assert not read(folder), content[:80]
    for instead in INSTEAD:
        put(folder / name, instead)
        assert not read(folder)
        assert not (folder / "ran").exists()
    put_back(folder, made, name)
    assert read(folder)
    figure("bad input", KIND, len(GARBAGE) + len(others) + 2 + len(INSTEAD))
