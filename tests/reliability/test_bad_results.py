"""Damaged or edited results: a report and MLflow runs of what the files hold, or one line."""

import csv
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from cases import GARBAGE, INSTEAD, attempt, damaged, edited, put, remove, seeded
from fabricated import scores_of, write_evaluation, write_processed, write_run
from hypothesis import given
from hypothesis import strategies as st

from rcan.data.store import open_split
from rcan.reporting.examples import choose_examples
from rcan.reporting.page import write_report
from rcan.reporting.results import Results, read_results
from rcan.tracking import RunFolders, sync

KIND = "results"
NUM_STUDIES, NUM_EPOCHS = 12, 10
JSON = ("evaluation/scores.json", "run/best.json", "run/config.json")
TABLES = ("evaluation/predictions.csv", "run/history.csv")
NAMES = (*JSON, *TABLES)
CELLS = st.sampled_from(
    ["", " ", "x", "nan", "inf", "-inf", "1e999", "-1", "0", "0.5", "7", "9" * 400, "0x1", "1_0",
     "½", "１", '"', "\0", "study-001", "a\nb", "ä心🫁", "|||", "$\\frac$", "<b>", "x" * 200_000]
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of 12 studies, to be damaged; name -> content as they were."""
    folder = tmp_path_factory.mktemp("results")
    digest = write_processed(folder / "processed", num_studies=NUM_STUDIES)
    scores = scores_of(num_studies=NUM_STUDIES) | {"data_digest": digest}
    write_evaluation(folder / "evaluation", scores)
    write_run(folder / "run", num_epochs=NUM_EPOCHS, data_digest=digest)
    return folder, {name: (folder / name).read_bytes() for name in NAMES}


@pytest.fixture
def place(made):
    folder, contents = made
    restore(folder, contents)
    yield folder
    restore(folder, contents)


def restore(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        remove(folder / name)
        (folder / name).write_bytes(content)


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


def read(folder: Path, monkeypatch) -> tuple[bool, bool]:
    """Whether the files make a report, and whether they make a run of MLflow."""
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
    monkeypatch.setattr("rcan.tracking.restore.open_tracker", lambda **_: tracker)
    place = RunFolders(run=folder / "run", evaluation=folder / "evaluation")
    held = attempt(lambda: sync(root=folder, folders=[place]), str(folder))
    if held and "log_scores" in tracker.told:
        scores = json.loads((folder / "evaluation/scores.json").read_bytes())
        model = scores["protocols"]["strict"]["model"]
        logged = tracker.told["log_scores"]
        assert all(logged[metric] == model[metric]["score"] for metric in ("BLEU-4", "ROUGE-L"))
        assert all(math.isfinite(score) for score in logged.values())
    return found is not None, bool(held)


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


@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes(name, place, amount, figure, monkeypatch):
    counted = Counter()

    @seeded(amount(6, 150))
    @given(damaged((place / name).read_bytes()))
    def of_bytes(content):
        (place / name).write_bytes(content)
        counted[read(place, monkeypatch)] += 1

    of_bytes()
    assert counted.total() > counted[True, True]
    figure("bad input", KIND, counted.total())


@pytest.mark.parametrize("name", JSON)
def test_edited_values(name, place, amount, figure, monkeypatch):
    counted = Counter()

    @seeded(amount(8, 250))
    @given(edited(json.loads((place / name).read_bytes())))
    def of_values(value):
        (place / name).write_text(json.dumps(value), encoding="utf-8")
        counted[read(place, monkeypatch)] += 1

    of_values()
    assert counted.total() > counted[True, True]
    figure("bad input", KIND, counted.total())


@pytest.mark.parametrize("name", TABLES)
def test_edited_cells(name, place, amount, figure, monkeypatch):
    counted = Counter()
    with (place / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))

    @seeded(amount(15, 300))
    @given(st.integers(0, len(rows) - 1), st.integers(0, len(rows[0]) - 1), CELLS)
    def of_cells(row, column, cell):
        changed = [list(cells) for cells in rows]
        changed[row][column] = cell
        with (place / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(changed)
        counted[read(place, monkeypatch)] += 1

    of_cells()
    assert counted[True, True] and counted.total() > counted[True, True]
    figure("bad input", KIND, counted.total())


@pytest.mark.parametrize("name", NAMES)
def test_garbage_and_something_else_in_its_place(name, place, figure, monkeypatch):
    for content in GARBAGE:
        (place / name).write_bytes(content)
        report, _ = read(place, monkeypatch)
        assert not report, content[:80]
    for instead in INSTEAD:
        put(place / name, instead)
        report, _ = read(place, monkeypatch)
        assert not report
        assert not (place / name).with_name("ran").exists()
    figure("bad input", KIND, len(GARBAGE) + len(INSTEAD))


WHOLE = {  # edits that still make results, odd as they are
    "words of other alphabets": {"model": "心 RVE ä 🫁 \u202e", "signature": "½"},
    "mathematics": {"model": "$x^2$ $\\frac{$", "data": "a$b", "signature": "\\alpha $"},
    "marks of Markdown": {"model": "`*_<b>#|[", "signature": "|||\n# x"},
    "a score outside its interval": {},
}


@pytest.mark.parametrize("edit", WHOLE)
def test_an_odd_but_whole_report_is_written(edit, place, tmp_path, amount, figure):
    if not amount(edit == "mathematics", 1):
        pytest.skip("four figures each: by `make torture`")
    scores = json.loads((place / JSON[0]).read_bytes()) | WHOLE[edit]
    config = json.loads((place / JSON[2]).read_bytes())
    if "data" in WHOLE[edit]:  # which summary.json and config.json must tell as well
        summary = place / "processed" / "summary.json"
        before = summary.read_bytes()
        summary.write_text(json.dumps(json.loads(before) | {"name": scores["data"]}))
        (place / JSON[2]).write_text(json.dumps(config | {"data": {"name": scores["data"]}}))
    if not WHOLE[edit]:
        scores["protocols"]["strict"]["model"]["BLEU-4"] |= {"score": 0.5, "low": 0.6, "high": 0.4}
    (place / JSON[0]).write_text(json.dumps(scores), encoding="utf-8")
    write_report(
        evaluation=place / "evaluation", run=place / "run", processed=place / "processed",
        out=tmp_path, command="dvc repro",
    )  # fmt: skip
    if "data" in WHOLE[edit]:
        summary.write_bytes(before)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert scores["model"] in page and (tmp_path / "scores.png").stat().st_size > 10_000
    figure("bad input", KIND, 1)
