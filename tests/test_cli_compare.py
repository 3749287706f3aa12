"""`rcan compare`: two runs by their counts, or by their predictions."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
from fabricated import scores_of, write_evaluation, write_run
from java_programs import python_java
from test_statistics import made_up, reports

from rcan.evaluation import meteor
from rcan.evaluation.results import write_counts
from rcan.evaluation.statistics import difference, intervals
from rcan.files import write_json

NUM = 40


@pytest.fixture
def rcan(empty_project, command, monkeypatch):
    java = python_java(empty_project / "java")
    monkeypatch.setattr(meteor, "_find_java", lambda _: str(java))
    return lambda *arguments: command("compare", *arguments, "--resamples", 60)


@pytest.fixture
def evaluated(tmp_path):
    """Writes an evaluated run; gives its scores under each protocol."""

    def write(name: str, share: float, *, changes=None, data="demo", num=NUM):
        found = {
            protocol: made_up(num, seed, share=share)
            for protocol, seed in (("strict", 1), ("paper", 2))
        }
        write_run(tmp_path / "runs" / name, data=data, changes=changes)
        scores = scores_of(data, num_studies=num)
        scores["references"] = {protocol: each.references for protocol, each in found.items()}
        write_evaluation(tmp_path / "data/evaluation" / name, scores)
        write_counts(tmp_path / "data/evaluation" / name, found)
        return found

    return write


def compared(rcan, *arguments):
    code, output = rcan(*arguments, "--json")
    assert code == 0, code
    return json.loads(output)


def test_runs_by_name_are_compared_by_their_counts(rcan, evaluated):
    main_run = evaluated("main", 0.8)
    other = evaluated("rve_cgm-1", 0.1, changes={"wcl.tau": 0.3})
    got = compared(rcan, "main", "rve_cgm-1")
    assert got["settings"] == {"wcl.tau": [0.1, 0.3]}
    assert list(got["protocols"]) == ["strict", "paper"]
    for protocol, found in got["protocols"].items():
        a, b = main_run[protocol], other[protocol]
        shared = {"seed": 1, "resamples": 120}  # 20 a corrected test
        expected = difference(a, b, **shared)
        for metric, value in found["difference"].items():
            assert {k: v for k, v in value.items() if k != "p_holm"} == expected[metric]
        own = {"seed": 1, "resamples": 60}
        assert found["scores"] == [intervals(a, **own), intervals(b, **own)]
    assert set(got["controls"]["image_swap_fall"]) == {"strict", "paper"}
    assert [told["distinct_reports"] for told in got["controls"]["diagnostics"]] == [20, 20]


def test_a_run_from_before_there_were_families_is_of_rcan(rcan, evaluated, tmp_path):
    evaluated("main", 0.8)
    evaluated("old-1", 0.1)
    path = tmp_path / "runs/old-1/config.json"
    config = json.loads(path.read_text())
    del config["model"]["family"]
    write_json(path, config)
    assert compared(rcan, "main", "old-1")["settings"] == {}


def test_beyond_and_within_noise_is_said_plainly(rcan, evaluated):
    evaluated("main", 0.9)
    evaluated("worse-1", 0.0)
    code, output = rcan("main", "worse-1")
    rows = [line for line in output.splitlines() if line.startswith(("| BLEU", "| ROUGE"))]
    assert code == 0 and len(rows) == 10 and all("beyond noise" in row for row in rows)
    assert "Settings: all that is known is equal" in output
    assert "different reports" in output and "another seed" in output
    code, output = rcan("main", "main")
    assert code == 0 and "within noise" in output and "beyond noise" not in output


def test_a_cell_that_equals_another_is_that_other(rcan, evaluated, tmp_path):
    evaluated("main", 0.5)
    write_json(tmp_path / "data/evaluation/rcan-1/same_as.json", {"same_as": "main"})
    got = compared(rcan, "main", "rcan-1")
    assert {v["difference"] for v in got["protocols"]["strict"]["difference"].values()} == {0}


def test_a_folder_elsewhere_is_compared_without_its_settings(rcan, evaluated, tmp_path):
    evaluated("main", 0.5)
    shutil.copytree(tmp_path / "data/evaluation/main", tmp_path / "kept")
    got = compared(rcan, "main", "kept")
    assert got["protocols"]["strict"]["difference"]["BLEU-4"]["p"] == 1


def table(path, texts, references, ids=None):
    with path.open("w", newline="") as file:
        ids = ids or [f"s{i}" for i in range(len(texts))]
        csv.writer(file).writerows(
            [["id", "reference", "prediction"], *zip(ids, references, texts, strict=True)]
        )
    return path


def test_tables_of_predictions_are_matched_by_id(rcan, tmp_path):
    references = reports(NUM, 0)
    ids = [f"s{i}" for i in range(NUM)]
    first = table(tmp_path / "a.csv", references, references)
    second = table(tmp_path / "b.csv", references[::-1], references[::-1], ids[::-1])
    worse = table(tmp_path / "c.csv", reports(NUM, 1), references)
    got = compared(rcan, first, second)
    [(protocol, found)] = got["protocols"].items()
    assert protocol == "as given"
    assert {value["difference"] for value in found["difference"].values()} == {0}
    found = compared(rcan, first, worse)
    assert found["protocols"]["as given"]["difference"]["BLEU-4"]["low"] > 0
    falls = found["controls"]["image_swap_fall"]["as given"]
    assert falls[0]["BLEU-4"]["low"] > 0 > falls[1]["BLEU-4"]["low"]
    assert found["settings_known"] == [False, False]


def test_a_folder_and_a_table_are_compared_by_predictions(rcan, evaluated, tmp_path):
    evaluated("main", 0.5)
    shutil.copy(tmp_path / "data/evaluation/main/predictions.csv", tmp_path / "a.csv")
    got = compared(rcan, "main", "a.csv")
    assert list(got["protocols"]) == ["as given"]
    (tmp_path / "data/evaluation/main/counts.npz").unlink()
    assert compared(rcan, "main", "a.csv")["protocols"] == got["protocols"]
    (tmp_path / "data/evaluation/main/predictions.csv").unlink()
    code, output = rcan("main", "a.csv")
    assert "counts.npz or predictions.csv" in code and output == ""


def test_other_data_and_other_references_are_refused(rcan, evaluated, tmp_path):
    evaluated("main", 0.5)
    evaluated("other-1", 0.5, data="iu_xray")
    evaluated("fewer-1", 0.5, num=30)
    code, output = rcan("main", "other-1")
    assert code.startswith("error: expected two runs on one data set") and output == ""
    code, output = rcan("main", "fewer-1")
    assert "the same references" in code and "\n" not in code and output == ""
    references = reports(5, 0)
    files = [
        table(tmp_path / "a.csv", references, references),
        table(tmp_path / "b.csv", references, reports(5, 9)),
        table(tmp_path / "c.csv", references, references, list("abcde")),
    ]
    assert "5 of 5 differ" in rcan(files[0], files[1])[0]
    assert "10 are in one alone" in rcan(files[0], files[2])[0]


def test_references_of_another_protocol_alone_are_refused(rcan, evaluated, tmp_path):
    found = evaluated("main", 0.5)
    evaluated("other-1", 0.5)
    path = tmp_path / "data/evaluation/other-1"
    scores = json.loads((path / "scores.json").read_text())
    scores["references"]["paper"] = "f" * 64
    write_json(path / "scores.json", scores)
    assert replace(found["paper"], references="f" * 64).references != found["paper"].references
    assert "the same references" in rcan("main", "other-1")[0]


def test_what_is_no_run_is_one_line_with_those_that_are(rcan, evaluated, tmp_path):
    assert "no run is evaluated here yet; `dvc repro` trains" in rcan("main", "main")[0]
    evaluated("main", 0.5)
    code, _ = rcan("main", "mian")
    assert (
        code.startswith("error: mian: expected an evaluated run") and "evaluated are main" in code
    )
    (tmp_path / "empty").mkdir()
    assert "scores.json" in rcan("main", "empty")[0]
    (tmp_path / "a.csv").write_text("id,prediction\na,x\n")
    assert "rcan score --against" in rcan("a.csv", "a.csv")[0]
    (tmp_path / "data/evaluation/main/counts.npz").write_bytes(b"PK")
    assert "counts of each study" in rcan("main", "main")[0]
