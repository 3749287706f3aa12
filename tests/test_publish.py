"""`python -m pipeline.publish`: numbers of evaluated runs, and no word of a report."""

import json
import sys
from types import SimpleNamespace

import pytest
from fabricated import scores_of, write_evaluation, write_processed, write_run
from java_programs import python_java

from pipeline import publish
from pipeline.stage import TOKENIZER
from rcan.data.store import open_split, read_summary
from rcan.errors import UserError
from rcan.evaluation import meteor
from rcan.evaluation.kept_floors import KeptFloors, write_floors
from rcan.evaluation.results import read_counts, read_history
from rcan.scoring.rexrank import rexrank_bleu
from rcan.text.tokenizer import Tokenizer
from rcan.tracking import epoch_metrics, open_tracker


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two evaluated runs and one that is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish, "_speeds", lambda _: {})
    for name in ("main", "cgm-1", "rve-1"):
        write_run(tmp_path / "runs" / name)
    for name in ("main", "cgm-1"):
        folder = tmp_path / "data/evaluation" / name
        scores = scores_of(num_studies=12)
        scores["references"] = {"strict": "0a" * 32, "paper": "no digest but a report ."}
        write_evaluation(folder, scores)
        (folder / "counts.npz").write_bytes(b"counts")
    return tmp_path


def written(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["publish", *arguments])
    publish.main(None)


def test_every_evaluated_run_is_there_with_its_numbers_and_no_text(project, monkeypatch):
    written(monkeypatch, "numbers")
    assert {path.name for path in (project / "numbers").iterdir()} == {"main", "cgm-1"}
    files = {path.name for path in (project / "numbers/main").iterdir()}
    assert files == {"scores.json", "counts.npz", *publish.OF_THE_RUN}
    before = json.loads((project / "data/evaluation/main/scores.json").read_text())
    after = json.loads((project / "numbers/main/scores.json").read_text())
    assert after["protocols"] == before["protocols"]
    assert after["references"] == {"strict": "0a" * 32}
    assert "floors" in before and "floors" not in after
    assert not (project / "numbers/main/predictions.csv").exists()


def test_with_floors_there_are_their_counts_and_rexranks_score(project, monkeypatch, capsys):
    java = python_java(project)
    monkeypatch.setattr(meteor, "_find_java", lambda _: str(java))
    write_processed(project / "data/processed", num_studies=12)
    test = open_split(publish.PROCESSED, "test").studies
    Tokenizer.train([study.text for study in test], 1).save(TOKENIZER)
    floor = {"best_constant": test[0].text, "most_frequent": "none ."}
    write_floors(
        publish.FLOORS, KeptFloors({"strict": floor, "paper": floor}, 60),
        processed=publish.PROCESSED, tokenizer=TOKENIZER,
    )  # fmt: skip
    options = SimpleNamespace(resamples=10, seed=1)
    digest = read_summary(publish.PROCESSED)["digest"]
    for path in (project / "data/evaluation").glob("*/scores.json"):
        of_these = digest if path.parent.name == "main" else "0c" * 16
        path.write_text(json.dumps({**json.loads(path.read_text()), "data_digest": of_these}))
    monkeypatch.setattr(sys, "argv", ["publish", "numbers"])
    publish.main(SimpleNamespace(eval=options))
    assert not (project / "numbers/cgm-1").exists()  # of other data than there are
    assert "1 run(s) left out" in capsys.readouterr().out
    told = {"num_studies": 12, "references": {"strict": "0a" * 32, "paper": "0a" * 32}}
    constant = read_counts(project / "numbers/best_constant", told)["strict"]
    assert constant.studies["ROUGE-L"][0] == 1 and constant.corpus["BLEU-4"] < 1
    rows = (project / "data/evaluation/main/predictions.csv").read_text().splitlines()[1:]
    written = [row.split(",")[2] for row in rows]
    for name, texts in {"main": written, "best_constant": [test[0].text] * 12}.items():
        held = json.loads((project / "numbers" / name / "rexrank.json").read_text())
        references = [study.report for study in test]
        assert held == {"BLEU-2": rexrank_bleu(texts, references, resamples=10, seed=1)}


def test_the_history_tells_the_speed_of_each_epoch_as_mlflow_knows_it(project, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setattr(publish, "project_root", lambda: project)
    settings = SimpleNamespace(data=SimpleNamespace(name="demo"))
    best = json.loads((project / "runs/main/best.json").read_text())
    history = read_history(project / "runs/main", "")
    tracker = open_tracker(root=project, data_name="demo")
    with tracker.run(key=best["key"], name="RCAN", params={}, tags={}) as run:
        for row in history:
            run.log_epoch(int(row["epoch"]), epoch_metrics({**row, publish.SPEED: 25.0}))
    (project / "runs/cgm-1/best.json").write_text(json.dumps({**best, "key": "0b" * 16}))
    monkeypatch.setattr(sys, "argv", ["publish", "numbers"])
    publish.main(settings)
    told = read_history(project / "numbers/main", "")
    assert [row.pop(publish.SPEED) for row in told] == ["25.0"] * len(history)
    assert told == history
    unknown = read_history(project / "numbers/cgm-1", "")
    assert unknown == history  # of a run that MLflow never saw


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "expected one folder: "), (("runs",), "runs is there already: remove it")],
)
def test_a_folder_is_named_and_never_overwritten(project, monkeypatch, arguments, told):
    with pytest.raises(UserError, match=told):
        written(monkeypatch, *arguments)


def test_without_an_evaluated_run_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no run on these data is evaluated"):
        written(monkeypatch, "numbers")
    assert list(tmp_path.iterdir()) == []


def test_published_numbers_are_put_back_beside_what_is_there(project, monkeypatch, tmp_path):
    written(monkeypatch, "numbers")
    kept = (project / "runs/main/best.json").read_bytes()
    for place in ("runs/cgm-1", "data/evaluation/cgm-1"):
        (project / place).rename(tmp_path / place.replace("/", "-"))
    (project / "numbers/main/best.json").write_text("of somebody else")
    written(monkeypatch, publish.BACK, "numbers")
    for name in publish.OF_THE_RUN:
        published = (project / "numbers/cgm-1" / name).read_bytes()
        assert (project / "runs/cgm-1" / name).read_bytes() == published
    assert (project / "data/evaluation/cgm-1/counts.npz").is_file()
    assert (project / "runs/main/best.json").read_bytes() == kept
    with pytest.raises(UserError, match="expected published runs, found none"):
        written(monkeypatch, publish.BACK, "runs")
