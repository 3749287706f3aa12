"""Samples of what a data set is read from: annotations, tables, XML."""

import json
import os
import time
import xml.sax
from pathlib import Path
from typing import Any

from cases import INSTEAD, Fuzz, Sample, attempt, damaged, edited
from hypothesis import strategies as st
from layouts import (
    LISTED,
    PIXELS,
    REPORTS,
    XML,
    annotation,
    kaggle_rows,
    table,
    write_kaggle,
    write_openi,
    write_r2gen,
)

from rcan.data.sets.iu_xray import read_iu_xray

# annotation.json of R2Gen

IDS = [study.id for study in LISTED]
KEYS = st.sampled_from(["train", "val", "test", "id", "report", "image_path", "split", "extra", ""])


def read_annotation(path: Path) -> bool:
    """Whether it was read; then nothing of it is lost without a word, and nothing is from outside.

    What is expected is counted anew, by Python's own reading of the file.
    """
    data = attempt(lambda: read_iu_xray(path.parent, LISTED), str(path.parent))
    if data is None:
        return False
    held = json.loads(path.read_text(encoding="utf-8-sig"))
    assert set(held) == {"train", "val", "test"}
    records = [record for split in ("train", "val", "test") for record in held[split]]
    listed = [record for record in records if record["id"] in IDS]
    first = {record["id"]: record for record in reversed(listed)}
    expected = {
        "study_not_listed": len(records) - len(listed),
        "duplicate_id": len(listed) - len(first),
        "report_missing": len(IDS) - len(first),
        "image_surplus": sum(max(0, len(record["image_path"]) - 2) for record in first.values()),
    }
    counts = {kind: data.problems.counts.get(kind, 0) for kind in expected}
    assert counts == expected
    for study, listed_study in zip(data.studies, LISTED, strict=True):
        record = first.get(study.id, {"report": "", "image_path": []})
        assert (study.id, study.split) == (listed_study.id, listed_study.split)
        assert study.report == record["report"]
        assert len(study.images) == 2 * (study.id in first)
        for number, image in enumerate(study.images):
            check_image(image, path.parent / "images", record["image_path"][number : number + 1])
    return True


def check_image(image, folder: Path, named: list[str]) -> None:
    """It has a version if, and only if, there is a file in the folder; then it is that file."""
    [place] = image.read.args
    files = [folder / name for name in named]
    files += [file.with_suffix(".jpg") for file in files]
    assert (image.version is not None) == any(map(os.path.isfile, files))
    if image.version is not None:
        assert Path(os.path.normpath(place)).is_relative_to(folder)
        assert (image.read() == PIXELS).all()


def no_annotations():
    """Annotations that JSON cannot be, or that say a thing twice."""
    good = json.dumps(annotation())
    yield good.replace('"train"', '"train": [], "train"', 1)
    yield good.replace('"report"', '"report": "Other.", "report"', 1)
    yield good.replace('"split"', '"x": NaN, "split"', 1)
    yield good.replace('"split"', '"x": -Infinity, "split"', 1)
    yield good.replace('"split"', '"x": 1e999, "split"', 1)
    yield good.replace('"split"', f'"x": {"9" * 6000}, "split"', 1)
    yield good.replace('"split"', f'"x": {"[" * 90_000}, "split"', 1)
    yield good.replace('"split"', f'"x": {"[" * 90_000}{"]" * 90_000}, "split"', 1)
    yield good.replace("The heart", "The \\ud83c heart")
    yield good.replace("The heart", "The \\udfff\\ud83c heart")
    yield good.replace('"val"', '"valid"', 1)
    yield good[:-1] + ', "more": []}'
    yield good + "{}"
    yield f"[{good}]"


def _encoded(value: Any, escaped: bool) -> bytes:
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


def annotations(folder: Path, patch) -> Sample:
    path = write_r2gen(folder)
    return Sample(
        "annotations", path, lambda: read_annotation(path),
        fuzz=[
            Fuzz(damaged(json.dumps(annotation(), indent=1).encode()), (25, 600), good=False),
            Fuzz(st.builds(_encoded, edited(annotation(), KEYS), st.booleans()), (50, 1000)),
        ],
        wrong=[text.encode() for text in no_annotations()],
    )  # fmt: skip


# A table of Kaggle's copy

NUMBERS = [study.number for study in LISTED]


def cells_of(text: str) -> list[list[str]]:
    """A table of its own making: quotes, doubled quotes, and breaks within them; nothing else."""
    rows: list[list[str]] = []
    row, cell, quoted, place = [], "", False, 0
    while place < len(text):
        letter = text[place]
        if quoted and text.startswith('""', place):
            cell, place = cell + '"', place + 1
        elif letter == '"':
            quoted = not quoted
        elif quoted or letter not in ",\r\n":
            cell += letter
        elif letter == ",":
            row, cell = [*row, cell], ""
        else:
            place += text.startswith("\r\n", place)
            rows, row, cell = [*rows, [*row, cell]], [], ""
        place += 1
    if row or cell:
        rows.append([*row, cell])
    return rows


def read_table(path: Path, *names: str) -> bool:
    """Whether it was read; then the findings are those of each number's first row."""
    data = attempt(lambda: read_iu_xray(path.parents[0], LISTED), str(path.parent), *names)
    if data is None:
        return False
    cells = cells_of(path.read_bytes().decode("utf-8-sig"))
    header, *rows = [row for row in cells if any(cell.strip() for cell in row)]
    assert all(len(row) >= len(header) for row in rows)
    assert not any(cell.strip() for row in rows for cell in row[len(header) :])
    uid, findings = header.index("uid"), header.index("findings")
    first = {row[uid]: row[findings] for row in reversed(rows)}
    assert data.problems.counts.get("duplicate_id", 0) == len(rows) - len(first)
    missing = [study.id for study in LISTED if study.number not in first]
    assert data.problems.first.get("report_missing", []) == missing
    assert [study.report for study in data.studies] == [first.get(n, "") for n in NUMBERS]
    return True


ROW = f"{NUMBERS[0]},Clear."
COMMAS = "header: expected commas between cells"
WRONG_TABLES: dict[str, str | tuple[str, str]] = {
    "a cell short": f"uid,findings\n{NUMBERS[0]}", "a cell more": f"uid,findings\n{ROW},x",
    "an open quote": f'uid,findings\n{NUMBERS[0]},"Clear.\n{ROW}', "no rows": "uid,findings\n",
    "a column twice": (f"uid,findings,uid\n{ROW},2", "found one twice (columns 1 and 3)"),
    "no column": f"uid,Findings\n{ROW}", "a comment": f"# x\nuid,findings\n{ROW}",
    "a stray quote": f'uid,findings\n{NUMBERS[0]},"Cl"ear.',
    "semicolons": (f"uid;findings\n{ROW}", f"{COMMAS}, found semicolons"),
    "tabs": (f"uid\tfindings\n{ROW}", f"{COMMAS}, found tabs"),
    "a nameless column twice": f"uid,findings,,\n{ROW},1,2",
}  # fmt: skip
RIGHT_TABLES = {
    "a mark of byte order": f"\ufeffuid,findings\n{ROW}", "old breaks": f"uid,findings\r{ROW}\r",
    "a long cell": f"uid,findings\n{NUMBERS[0]},{'x' * 300_000}",
    "zero bytes": f"uid,findings\n{NUMBERS[0]},a\0b", "no end": f"uid,findings\n{ROW}",
    "columns turned": f"findings,uid\nClear.,{NUMBERS[0]}",
    "an empty line": f"uid,findings\n\n{ROW}", "an empty first line": f"\r\nuid,findings\r\n{ROW}",
    "empty rows": f"uid,findings\n , \n{ROW}\n,\n,", "empty cells": f"uid,findings\n{ROW},, ",
    "empty columns": f"uid,,findings,,\n{NUMBERS[0]},,Clear.,,",
    "a nameless column": f",uid,findings\n0,{ROW}",
}  # fmt: skip


CELL = st.text(max_size=8) | st.sampled_from(['"', '""', ",", "\r", "\n", "\r\n", "\0", " ", "ä🫁"])
ROWS = st.tuples(st.sampled_from([*NUMBERS, "1", "x"]), CELL, CELL)


def _with_a_head(cells: list[tuple[str, str, str]]) -> bytes:
    """A table as it is written: every one of them is read cell by cell."""
    rows = [["uid", "MeSH", "findings"], [NUMBERS[0], "", "Clear."], *map(list, cells)]
    return table(rows).encode("utf-8", "replace")


def tables(folder: Path, patch) -> Sample:
    path = write_kaggle(folder)
    return Sample(
        "CSV", path, lambda *names: read_table(path, *names),
        fuzz=[
            Fuzz(damaged(table(kaggle_rows()).encode()), (40, 900)),
            Fuzz(st.lists(ROWS, max_size=8).map(_with_a_head), (25, 600), bad=False),
        ],
        wrong=WRONG_TABLES.values(),
        right=[text.encode() for text in RIGHT_TABLES.values()],
    )  # fmt: skip


# XML of Open-i

NUMBER = LISTED[1].number
PLAIN = XML.format(number=NUMBER, findings="No effusion.")


class Findings(xml.sax.ContentHandler):
    """The text of the first section of findings, by another reader of XML."""

    def __init__(self) -> None:
        self.depth, self.done, self.parts = 0, False, []

    def startElement(self, name, attributes):  # noqa: N802, the library's name
        starts = name == "AbstractText" and attributes.get("Label") == "FINDINGS"
        if self.depth or (starts and not self.done):
            self.depth += 1

    def endElement(self, name):  # noqa: N802
        self.depth = max(0, self.depth - 1)
        self.done = self.done or bool(self.parts and not self.depth)

    def characters(self, content):
        if self.depth:
            self.parts.append(content)


def read_xml(path: Path, meant: str | None = None) -> str | None:
    """The findings of the second study, if its file was read; then they are the file's own."""
    started = time.perf_counter()
    data = attempt(lambda: read_iu_xray(path.parents[1], LISTED), str(path))
    assert time.perf_counter() - started < 5
    if data is None:
        return None
    assert (data.layout, data.problems.counts) == ("Open-i", {})
    assert [data.studies[number].report for number in (0, 2)] == [REPORTS[0], REPORTS[2]]
    if meant is None:
        found = Findings()
        xml.sax.parseString(path.read_bytes(), found)
        meant = "".join(found.parts)
    assert data.studies[1].report == meant
    return data.studies[1].report


NO_XML = {
    "an entity of nobody": "&nobody;", "a file included": '<x:include href="/etc/passwd"/>',
    "a null": "&#0;", "a lone surrogate": "&#xD800;", "beyond": "&#x110000;", "open": "<b>",
    "closed": "</b>", "bare": "a & b", "a marked end": "]]>", "half a tag": "<b",
    "two": '<b c="1" c="2"/>',
    "a huge number": f"&#{'9' * 9_000};", "a namespace of nobody": "<x:b/>",
}  # fmt: skip


def xml_reports(folder: Path, patch) -> Sample:
    path = write_openi(folder)

    def counted_as_missing() -> None:
        data = read_iu_xray(folder, LISTED)
        assert data.problems.first == {"report_missing": [LISTED[1].id]}
        assert not data.studies[1].report

    both = [PLAIN.encode(), PLAIN.replace("utf-8", "iso-8859-1").encode()]
    others = [PLAIN.replace(NUMBER, "1"), PLAIN.replace("uId", "uid"), PLAIN.replace(" id=", " x=")]
    bodies = [PLAIN.replace("No effusion.", body) for body in NO_XML.values()]
    return Sample(
        "XML", path, lambda: read_xml(path) is not None,
        fuzz=[Fuzz(st.sampled_from(both).flatmap(damaged), (90, 1000))],
        wrong=[text.encode() for text in others + bodies],
        absent=tuple(INSTEAD.keys() - {"pickled code"}), missing=counted_as_missing,
    )  # fmt: skip
