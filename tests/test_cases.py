"""Figures 4 and 6 as the stage draws them: with all cells, with some, with none, and withheld."""

import csv

import numpy as np
import pytest
from PIL import Image
from tiny import R2GENCMN, TOP, prepare, tiny, train_tiny

from pipeline import cases
from rcan.ablation.cells import CELLS
from rcan.data.store import open_split, read_summary
from rcan.errors import UserError
from rcan.files import write_csv, write_json, write_text
from rcan.reporting.case_figure import Case, Marked, Text, cases_figure

FIGURES = {f"{name}.{kind}" for name in ("fig4", "fig6") for kind in ("png", "svg")}
RUNS = {  # cell -> the run that its plan points to
    "transformer-1": "main", "r2gencmn-1": "r2gencmn-1", "r2gencmn_rve-1": "main", "rcan-1": "main",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two tiny trained models; their reports are those of the references."""
    root = tmp_path_factory.mktemp("trained")
    place = prepare(root / "data", tiny())
    for name, changes in (("main", {}), ("r2gencmn-1", R2GENCMN)):
        train_tiny(place, root, {**changes, "train.epochs": 1})
        (root / "runs").mkdir(exist_ok=True)
        (root / "run").rename(root / "runs" / name)
    return root


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A place of its own for the stage, where all cells are run."""
    for name in ("runs", "data"):
        (tmp_path / name).mkdir()
        for path in (trained / name).iterdir():
            (tmp_path / name / path.name).symlink_to(path)
    split = open_split(tmp_path / "data/processed", "test")
    digest = read_summary(tmp_path / "data/processed")["digest"]
    for name in set(RUNS.values()):
        folder = tmp_path / "data/evaluation" / name
        write_predictions(folder, [" ".join(s.text.split()[:24]) for s in split.studies], split)
        write_json(folder / "scores.json", {"data_digest": digest})
    for name, of in RUNS.items():
        write_json(tmp_path / f"ablations/plan/{name}.json", {} if of == name else {"same_as": of})
    write_text(tmp_path / "ablations/plan/order.txt", "\n".join(RUNS) + "\n")
    write_text(tmp_path / CELLS, (TOP / CELLS).read_text(encoding="utf-8"))
    for name in ("params.yaml", "dvc.yaml"):
        write_text(tmp_path / name, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_predictions(folder, texts, split) -> None:
    rows = [
        {"id": study.id, "reference": study.text, "prediction": text, "BLEU-4": 0.5}
        for study, text in zip(split.studies, texts, strict=True)
    ]
    write_csv(folder / "predictions.csv", rows)


def drawn(here) -> set[str]:
    return {path.name for path in (here / cases.EXAMPLES).iterdir()} - {"cases.md"}


def pointing(here) -> list[dict[str, str]]:
    with (here / cases.POINTING).open() as file:
        return list(csv.DictReader(file))


def test_all_cells_are_drawn_and_measured_always_alike(here):
    cases.main(tiny())
    assert drawn(here) == FIGURES
    page = (here / cases.EXAMPLES / "cases.md").read_text()
    assert "Runs: r2gencmn-1, r2gencmn_rve-1, rcan-1" in page
    assert "Runs: transformer-1, r2gencmn-1, rcan-1" in page and "Not run" not in page
    rows = pointing(here)
    assert {row["run"] for row in rows} == {"r2gencmn-1", "r2gencmn_rve-1", "rcan-1"}
    for row in rows:
        assert 0 <= float(row["share_low"]) <= float(row["share"]) <= float(row["share_high"]) <= 1
    same = [[row[k] for k in row if k != "run"] for row in rows if row["run"] != "r2gencmn-1"]
    assert same[: len(same) // 2] == same[len(same) // 2 :]  # both point to the main run
    before = {name: (here / cases.EXAMPLES / name).read_bytes() for name in FIGURES}
    cases.main(tiny())
    assert before == {name: (here / cases.EXAMPLES / name).read_bytes() for name in FIGURES}


def test_a_cell_that_is_not_run_is_named_with_its_command_and_the_others_are_drawn(here):
    (here / "runs/r2gencmn-1").unlink()
    cases.main(tiny())
    assert drawn(here) == FIGURES
    page = (here / cases.EXAMPLES / "cases.md").read_text()
    assert "RCAN_CELLS=r2gencmn-1 dvc repro ablations/dvc.yaml:evaluate@r2gencmn-1" in page
    assert "Runs: r2gencmn_rve-1, rcan-1." in page
    assert {row["run"] for row in pointing(here)} == {"r2gencmn_rve-1", "rcan-1"}


def test_without_any_cell_nothing_is_drawn_and_what_was_there_goes(here):
    cases.main(tiny())
    for run in ("main", "r2gencmn-1"):
        (here / "runs" / run).unlink()
    cases.main(tiny())
    assert drawn(here) == set() and pointing(here) == []
    page = (here / cases.EXAMPLES / "cases.md").read_text()
    assert all(f"evaluate@{run}" in page for run in RUNS)


def test_restricted_data_are_measured_and_not_shown(here):
    cases.main(tiny())
    cases.main(tiny({"privacy.restricted": True}))
    assert drawn(here) == set() and pointing(here)
    page = (here / cases.EXAMPLES / "cases.md").read_text()
    assert "restricted" in page and "test-0" not in page


def test_predictions_of_other_data_are_refused(here):
    write_json(here / "data/evaluation/main/scores.json", {"data_digest": "0" * 32})
    with pytest.raises(UserError, match="other data"):
        cases.main(tiny())


def test_a_report_longer_than_any_that_the_model_writes_is_refused(here):
    split = open_split(here / "data/processed", "test")
    texts = ["nodule " * 25] * len(split.studies)
    write_predictions(here / "data/evaluation/main", texts, split)
    with pytest.raises(UserError, match="at most 24 words, found one of 25"):
        cases.main(tiny())


def pixels(path) -> np.ndarray:
    image = np.asarray(Image.open(path).convert("L"))
    assert (np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]) == 255).all()
    return image


def test_long_strange_and_empty_reports_stay_in_their_columns(tmp_path):
    image = np.full((32, 32), 90, np.uint8)
    words = ["$5", "<unk>", "w" * 60] * 300
    mentions = [Marked(0, 1, 0), Marked(1, 3, 9, "other"), Marked(4, 9, 3, "wrong")]
    texts = [Text(words, mentions, "Not named: " + "x " * 40), Text([], [], ""), Text(["."], [])]
    case = Case("1 of 1", [image] * 2, ["frontal", "lateral"], ["a"] * 10, texts)
    cases_figure([case], ["Reference", "One", "Two"], "title", tmp_path / "cases.png")
    page = pixels(tmp_path / "cases.png")
    assert page.shape[0] < 110 * 9  # cut, not endless
    gap = page[(110 * 3) :, int(110 * 4.85) : int(110 * 4.95)]
    assert (gap == 255).all()  # between the first two columns, beyond what may stick out


@pytest.mark.parametrize("kind", ["right", "other", "wrong"])
def test_right_and_wrong_differ_without_colour(tmp_path, kind):
    text = Text(["a", "large", "nodule", "."], [Marked(0, 3, 1, kind)])
    case = Case("1 of 1", [np.zeros((8, 8), np.uint8)], ["view"], ["heart", "nodule"], [text])
    cases_figure([case], ["Reference"], "title", tmp_path / f"{kind}.png")
    grey = pixels(tmp_path / f"{kind}.png")[int(110 * 1.9) : int(110 * 2.2), 110 * 2 : 110 * 3]
    filled = (grey > 150) & (grey < 250)
    assert (filled.mean() > 0.2) == (kind == "right")
