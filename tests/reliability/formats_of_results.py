"""Samples of processed data, and of the results of a run."""

import contextlib
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from cases import Fuzz, Sample, attempt, damaged, edited
from fabricated import scores_of, write_evaluation, write_processed, write_run, write_summary
from hypothesis import strategies as st
from layouts import table

from rcan.data.store import open_split, read_summary
from rcan.evaluation.results import Results, read_results
from rcan.files import digest_of
from rcan.reporting.examples import choose_examples
from rcan.tracking import RunFolders, sync

# One split of processed data

REMEDY = "run `dvc repro preprocess`"
SIZE, ROWS = 6, 9


def record(number: int, rows: list[int]) -> dict:
    views = [{"row": row, "projection": p} for row, p in zip(rows, ("frontal", None), strict=False)]
    text = f"study {number} is clear ."
    return {"id": f"CXR{number}", "report": text, "text": text, "views": views, "labels": None}


RECORDS = [record(1, [0, 1]), record(2, [2]), record(3, [3, 4]), record(4, [5, 8])]
PIXELS = np.random.default_rng(0).integers(0, 256, (ROWS, SIZE, SIZE), dtype=np.uint8)
PROCESSED = ("summary.json", "val.jsonl", "val.npy")


def lines(records: list) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def write_split(folder: Path) -> dict[str, bytes]:
    """The files of one split: name -> content."""
    (folder / "val.jsonl").write_text(lines(RECORDS), encoding="utf-8")
    np.save(folder / "val.npy", PIXELS)
    write_summary(folder, image_size=SIZE)
    return {name: (folder / name).read_bytes() for name in PROCESSED}


def read_split(folder: Path) -> bool:
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


def header(text: str, version: int) -> bytes:
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


def no_splits(folder: Path) -> list[bytes]:
    """Arrays of other kinds."""
    np.savez(folder / "other.npz", PIXELS)
    np.save(folder / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    paths = [folder / name for name in ("other.npz", "objects.npy")]
    contents = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    return contents


def processed(name: str, folder: Path, patch) -> Sample:
    """A file of a split; counts must be the summary's."""
    made = write_split(folder)
    wrong = [*no_splits(folder), *(made[other] for other in PROCESSED if other != name)]
    fuzz = [Fuzz(damaged(made[name]), (20, 500), good=False)]
    if name == "val.npy":
        wrong += [header(text, version) for version in (1, 2, 3, 9) for text in HEADERS]
    if name == "val.jsonl":  # cut at a line, or with one line twice
        rows = made[name].splitlines(keepends=True)
        wrong += [b"".join(rows[:kept]) for kept in range(len(rows))] + [made[name] + rows[0]]
    if name == "summary.json":
        edits = st.builds(_summary, edited(json.loads(made[name])), st.booleans())
        fuzz.append(Fuzz(edits, (20, 500)))
    return Sample("processed data", folder / name, lambda: read_split(folder), fuzz, wrong)


def _summary(value: Any, digest_mended: bool) -> bytes:
    with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair has no digest
        if digest_mended and isinstance(value.get("files"), dict):
            value["digest"] = digest_of(value["files"])
    return json.dumps(value).encode()


# Results, of which a report and MLflow runs are made

NUM_STUDIES, NUM_EPOCHS = 12, 10
JSON = ("evaluation/scores.json", "run/best.json", "run/config.json")
TABLES = ("evaluation/predictions.csv", "run/history.csv")
RESULTS = (*JSON, *TABLES)
CELLS = st.sampled_from(
    ["", " ", "x", "nan", "inf", "-inf", "1e999", "-1", "0", "0.5", "7", "9" * 400, "0x1", "1_0",
     "½", "１", '"', "\0", "study-001", "a\nb", "ä心🫁", "|||", "$\\frac$", "<b>", "x" * 200_000]
)  # fmt: skip


def write_results(folder: Path) -> None:
    """Results of 12 studies."""
    digest = write_processed(folder / "processed", num_studies=NUM_STUDIES)
    scores = scores_of(num_studies=NUM_STUDIES) | {"data_digest": digest}
    write_evaluation(folder / "evaluation", scores)
    write_run(folder / "run", num_epochs=NUM_EPOCHS, data_digest=digest)


class Recorded:
    """A tracker, and a run of it, that take down what they are told."""

    local = True

    def __init__(self) -> None:
        self.told, self.guard = {}, self

    def attach(self, **what):
        self.told["attach"] = what
        return self

    def finish(self, seconds: float) -> bool:
        return True

    def __getattr__(self, name):
        return lambda *what: self.told.setdefault(name, what[0])


def read_all(folder: Path, patch) -> int:
    """0 if the files make no report, 2 if they make a run of MLflow as well, else 1."""
    found = attempt(lambda: read_results(folder / "evaluation", folder / "run"), str(folder))
    if found is not None:
        check_results(found, folder)
        split = open_split(folder / "processed", found.scores["split"])
        examples = attempt(lambda: choose_examples(found.predictions, split), "predictions.csv")
        if examples is None:
            found = None
        else:
            check_examples(examples, found)
    tracker = Recorded()
    patch.setattr("rcan.tracking.restore.open_tracker", lambda **_: tracker)
    place = RunFolders(run=folder / "run", evaluation=folder / "evaluation")
    held = attempt(lambda: sync(root=folder, folders=[place]), str(folder))
    if held and "log_scores" in tracker.told:
        scores = json.loads((folder / "evaluation/scores.json").read_bytes())
        model = scores["protocols"]["strict"]["model"]
        logged = tracker.told["log_scores"]
        assert all(logged[metric] == model[metric]["score"] for metric in ("BLEU-4", "ROUGE-L"))
        assert all(math.isfinite(score) for score in logged.values())
    return 0 if found is None else 1 + bool(held)


def check_results(found: Results, folder: Path) -> None:
    """What was read is what another reader finds, and numbers that can be drawn."""
    assert found.scores == json.loads((folder / "evaluation/scores.json").read_bytes())
    assert found.best == json.loads((folder / "run/best.json").read_bytes())
    for name, rows in (("run/history.csv", found.history), (TABLES[0], found.predictions)):
        with (folder / name).open(encoding="utf-8-sig", newline="") as file:
            csv.field_size_limit(10**9)
            header, *filled = (row for row in csv.reader(file) if any(map(str.strip, row)))
            held = [dict(zip(header, row, strict=False)) for row in filled]
            assert rows == held, name
    assert [int(row["epoch"]) for row in found.history] == list(range(1, len(found.history) + 1))
    cells = [cell for row in found.history for cell in row.values() if cell]
    assert all(math.isfinite(float(cell)) for cell in cells)


def check_examples(examples: list, found: Results) -> None:
    """Six of all studies, the best first, each with its own words."""
    assert {row["id"] for row in found.predictions} == {f"study-{n:03}" for n in range(NUM_STUDIES)}
    own = {row["id"]: row for row in found.predictions}
    for example in examples:
        row = own[example.id]
        assert (example.prediction, example.reference) == (row["prediction"], row["reference"])
        better = sum(float(other["BLEU-4"]) > example.bleu_4 for other in found.predictions)
        assert better < example.rank <= NUM_STUDIES and example.of == NUM_STUDIES


def results(name: str, folder: Path, patch) -> Sample:
    write_results(folder)
    path = folder / name
    whole = path.read_bytes()
    fuzz = [Fuzz(damaged(whole), (6, 150), good=False)]
    if name in JSON:
        values = edited(json.loads(whole)).map(lambda value: json.dumps(value).encode())
        fuzz.append(Fuzz(values, (8, 250), good=False))
    else:
        rows = list(csv.reader(io.StringIO(whole.decode(), newline="")))

        def with_cell(row: int, column: int, cell: str) -> bytes:
            changed = [list(cells) for cells in rows]
            changed[row][column] = cell
            return table(changed).encode()

        rows_, columns = st.integers(0, len(rows) - 1), st.integers(0, len(rows[0]) - 1)
        fuzz.append(Fuzz(st.builds(with_cell, rows_, columns, CELLS), (15, 300)))
    return Sample("results", path, lambda: read_all(folder, patch), fuzz, whole=2)
