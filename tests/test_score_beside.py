"""`rcan score --beside` and `--rexrank`: a reader's predictions among published runs."""

import csv
import json
import re
import sys
from math import sqrt

import numpy as np
import pytest
from java_programs import python_java
from test_cli_score import TEST, TRAIN, WRITTEN, annotation, reports, table
from tiny import TOP

from rcan.cli import main
from rcan.evaluation import meteor
from rcan.evaluation.floors import most_frequent
from rcan.evaluation.protocols import PROTOCOLS, reference
from rcan.evaluation.scores import METRICS
from rcan.reporting.beside import read_published
from rcan.reporting.beside_page import beside_panels
from rcan.reporting.panels_figure import VERSIONS
from rcan.scoring.references import Cleaner
from rcan.scoring.rexrank import rexrank_bleu
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

OTHERS = {"r2gen-1": reports(20, 5), "r2gen-2": reports(20, 6), "main": WRITTEN}
PUBLISHED = TOP / "reports/iu_xray-small/runs"
IU = TOP.parent / "shared/data/iu_xray"


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    return python_java(tmp_path_factory.mktemp("java"))


@pytest.fixture
def rcan(tmp_path, monkeypatch, capsys, java):
    """Runs `rcan score`; gives its code and both outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(meteor, "_find_java", lambda _: str(java))

    def run(*arguments):
        argv = ["rcan", "score", *map(str, arguments), "--resamples", "50"]
        if "590" not in str(arguments[0]):
            argv += ["--max-length", "8"]  # else the protocols are one
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.delenv("TQDM_DISABLE", raising=False)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def published(rcan, tmp_path):
    """Three runs and a floor, of the test reports of annotation.json."""
    truth = annotation(tmp_path / "annotation.json")
    frequent = [most_frequent([clean_iu_xray(text) for text in TRAIN])] * len(TEST)
    for name, written in {**OTHERS, "most_frequent": frequent}.items():
        place = tmp_path / "runs" / name
        code, *_ = rcan(table(tmp_path / "w.csv", written), truth, "--output", place, "-q")
        assert code == 0
        told = json.loads((place / "scores.json").read_text())
        told |= {"data": "iu_xray", "split": "test"}
        (place / "scores.json").write_text(json.dumps(told))
    for end in ("scores.json", "table.md"):
        (tmp_path / "runs/most_frequent" / end).unlink()
    return tmp_path / "runs"


def found(rcan, *arguments):
    code, output, _ = rcan(*arguments, "--json")
    assert code == 0, code
    return json.loads(output)


def as_r2gen(path, texts):  # pandas: one column, neither header nor ids
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([text] for text in texts)


def as_r2gengpt(path, texts):
    path.write_text(json.dumps({f"s{n}": [text] for n, text in enumerate(texts)}))


def as_rexrank(path, texts):
    held = {f"s{n}": {"model_prediction": t, "section_impression": ""} for n, t in enumerate(texts)}
    path.write_text(json.dumps(held))


FORMATS = {"res.csv": as_r2gen, "test_result.json": as_r2gengpt, "rexrank.json": as_rexrank}


@pytest.mark.parametrize("name", FORMATS)
def test_a_runs_own_outputs_land_on_its_row(rcan, tmp_path, published, name):
    FORMATS[name](tmp_path / name, [clean_iu_xray(text) for text in WRITTEN])
    got = found(rcan, name, "annotation.json", "--beside", published)["beside"]
    assert list(got["rows"]) == ["main", "r2gen", "most frequent report"]
    for protocol in PROTOCOLS:
        assert set(got["minus"][protocol]["main"]) == set(METRICS)
        for value in got["minus"][protocol]["main"].values():
            assert (value["difference"], value["low"], value["high"], value["p"]) == (0, 0, 0, 1)
        assert got["places"][protocol]["BLEU-4"]["place"][""] == 1
    assert got["same_counts"]["main"] == len(TEST) > got["same_counts"]["r2gen-1"]


@pytest.mark.parametrize(
    ("family", "use_wcl", "row"),
    [("rcan", True, "rcan"), ("rcan", False, "main"), ("nic", True, "main")],
)
def test_the_main_run_is_called_by_its_cell(rcan, tmp_path, published, family, use_wcl, row):
    model = {"family": family, "use_rve": True, "use_cgm": True, "use_wcl": use_wcl}
    (published / "main/config.json").write_text(json.dumps({"model": model}))
    mine = table(tmp_path / "a.csv", WRITTEN)
    got = found(rcan, mine, "annotation.json", "--beside", published, "--no-meteor")["beside"]
    assert got["rows"][row]["runs"] == ["main"]


def test_a_row_is_the_mean_of_its_seeds(rcan, tmp_path, published):
    got = found(rcan, table(tmp_path / "a.csv", WRITTEN), "annotation.json", "--beside", published)
    mine = got["protocols"]["paper"]["model"]["ROUGE-L"]["score"]
    of_seeds = [
        json.loads((published / run / "scores.json").read_text())["protocols"]["paper"]["model"]
        for run in ("r2gen-1", "r2gen-2")
    ]
    mean = np.mean([seed["ROUGE-L"]["score"] for seed in of_seeds])
    minus = got["beside"]["minus"]["paper"]
    assert minus["r2gen"]["ROUGE-L"]["difference"] == pytest.approx(mine - mean)
    assert all(of[m]["p_holm"] >= of[m]["p"] for of in minus.values() for m in METRICS)
    first = got["beside"]["places"]["paper"]["BLEU-4"]["first"]
    assert sum(first.values()) == pytest.approx(1)
    assert first[""] == pytest.approx(first["main"])  # equals share a draw


@pytest.mark.parametrize(
    ("written", "scored"),
    [
        ("the heart is normal .", "the heart is normal ."),
        ("the heart is <unk>  and", "the heart is <unk> and"),  # cut at the greatest length
        ("No effusion", "no effusion ."),  # not clean yet: as R2Gen cleans it
        ("1. no effusion", "no effusion ."),
        (" ", ""),
    ],
)
def test_a_clean_prediction_is_scored_as_its_model_wrote_it(written, scored):
    assert Cleaner("iu_xray").as_written(written) == scored


def test_a_cut_prediction_gets_no_full_stop_on_its_way_to_a_score(rcan, tmp_path):
    truth = annotation(tmp_path / "annotation.json")
    got = found(rcan, table(tmp_path / "cut.csv", ["the heart is"] * len(TEST)), truth)
    assert got["diagnostics"]["mean_length"] == 3


def test_r2gens_own_references_are_those_of_the_paper_protocol(rcan, tmp_path, published):
    clean = Cleaner("iu_xray")
    words = Tokenizer.train([clean(text) for text in TRAIN], 3).vocabulary
    as_r2gen(tmp_path / "gts.csv", [reference(clean(t), "paper", words, 8) for t in TEST])
    as_r2gen(tmp_path / "res.csv", [clean(text) for text in WRITTEN])
    code, output, errors = rcan(
        "res.csv", "gts.csv", "--train", "annotation.json", "--beside", published, "--json"
    )
    assert code == 0 and "strict: left out" in errors
    got = json.loads(output)["beside"]
    assert list(got["minus"]) == ["paper"]
    assert got["minus"]["paper"]["main"]["BLEU-4"]["difference"] == 0


def test_the_page_marks_the_row_and_needs_nothing_else(rcan, tmp_path, published):
    code, output, _ = rcan(
        table(tmp_path / "my <b>.csv", WRITTEN), "annotation.json", "--beside", published,
        "--html", "out.html",
    )  # fmt: skip
    page = (tmp_path / "out.html").read_text()
    assert code == 0 and "→ 1. my <b>" in output
    assert page.count('<tr class="mine">') == 3 and "→ 1. my &lt;b&gt;" in page
    assert page.count('="data:image/svg+xml;base64,') == len(VERSIONS) and "BLEU-4 (paper" in page
    page = re.sub('="data:[^"]*"', "", page)
    assert not any(mark in page for mark in ("<script", "http", "src=", "@import", "url("))
    assert "lungs" not in page + output


def test_the_figure_shows_what_the_tables_say(rcan, tmp_path, published):
    (published / "most_frequent").rename(published / "best_constant")
    mine = table(tmp_path / "a.csv", WRITTEN)
    result = found(rcan, mine, "annotation.json", "--beside", published, "--no-meteor")
    panels = beside_panels(result, "a", read_published(published))
    assert [panel.title for panel in panels] == ["BLEU-4", "ROUGE-L", "Fall, swapped images"]
    rows = result["beside"]["rows"]
    for panel, metric in zip(panels, ("BLEU-4", "ROUGE-L"), strict=False):
        own, main, r2gen = panel.points.values()
        assert [row.title for row in panel.points] == ["a", "main", "r2gen"]
        assert own.value == result["protocols"]["paper"]["model"][metric]
        told = rows["r2gen"]["scores"]["paper"][metric]
        assert r2gen.seeds == told and r2gen.value["score"] == pytest.approx(np.mean(told))
        assert main.value == pytest.approx(own.value)  # the same reports
        assert [panel.constant] == rows["best constant report"]["scores"]["paper"][metric]
    assert panels[2].unit == "BLEU-4, strict protocol" and panels[2].constant == 0
    fall = result["controls"]["image_swap"]["strict"]["fall"]["BLEU-4"]
    assert next(iter(panels[2].points.values())).value["score"] == fall["difference"]


@pytest.mark.parametrize("wrong", [{"protocols": {"paper": None}}, {"findings": None}])
def test_a_damaged_part_of_published_scores_is_one_line(rcan, tmp_path, published, wrong):
    path = published / "main/scores.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    code, *_ = rcan(table(tmp_path / "a.csv", WRITTEN), "annotation.json", "--beside", published)
    assert str(path) in code and "\n" not in code


def test_what_is_of_other_studies_is_one_line_that_counts(rcan, tmp_path, published):
    table(tmp_path / "val.csv", WRITTEN[:12], ids=[f"v{n}" for n in range(12)])
    held = json.loads((tmp_path / "annotation.json").read_text())
    for n, study in enumerate(held["val"]):
        study["id"] = f"v{n}"
    (tmp_path / "annotation.json").write_text(json.dumps(held))
    told = {
        ("val.csv", "annotation.json"): "20 have none .*, 12 predictions .*, 12 of split val",
        ("val.csv", "annotation.json", "--split", "val"): "20 studies .* found 12 studies",
        (table(tmp_path / "a.csv", WRITTEN), table(tmp_path / "b.csv", WRITTEN, column="report")):
            "20 studies of split test of IU X-ray .* other references",
    }  # fmt: skip
    (tmp_path / "few.txt").write_text("x\n")
    told["few.txt", "annotation.json"] = "expected 20 lines, one a reference, found 1"
    for arguments, line in told.items():
        code, output, _ = rcan(*arguments, "--beside", published, "-q")
        assert output == "" and "\n" not in code
        with pytest.raises(AssertionError, match=line):
            raise AssertionError(code)
    assert "--beside" in rcan("a.csv", "annotation.json", "--html", "x.html")[0]
    assert "found none" in rcan("a.csv", "annotation.json", "--beside", tmp_path / "none")[0]


def test_runs_of_several_sets_are_no_table(rcan, tmp_path, published):
    path = published / "r2gen-2/scores.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "split": "val"}))
    code, *_ = rcan(table(tmp_path / "a.csv", WRITTEN), "annotation.json", "--beside", published)
    assert "another split of r2gen-2 than of main" in code


def test_without_java_meteor_is_left_out_and_said(rcan, tmp_path, published, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    a = table(tmp_path / "a.csv", WRITTEN)
    code, output, errors = rcan(a, "annotation.json", "--beside", published, "--json")
    assert code == 0 and errors.count("METEOR is left out") == 1
    minus = json.loads(output)["beside"]["minus"]["strict"]["main"]
    assert set(minus) == set(METRICS) - {"METEOR"} and minus["BLEU-4"]["difference"] == 0


def test_findings_are_compared_where_labels_are_at_hand(rcan, tmp_path, published):
    rows = [f"s{n},{'Cardiomegaly' if n == 0 else 'normal'}" for n in range(len(TEST))]
    written = ["the heart is enlarged .", *WRITTEN[1:]]
    files = table(tmp_path / "a.csv", written), "annotation.json", "--beside", published
    assert "no labels are at hand" in rcan(*files)[1]
    (tmp_path / "kaggle").mkdir()
    place = tmp_path / "kaggle/indiana_reports.csv"
    assert "found none" in rcan(*files, "--labels", place)[0]
    place.write_text("\n".join(["uid,Problems", *rows]))
    got = found(rcan, *files, "--labels", place)["findings"]
    assert got["model"]["per_finding"]["cardiomegaly"]["hits"] == 1
    assert got["num_studies"] == len(TEST)


def test_rexranks_bleu_2_by_hand():
    options = {"resamples": 10, "seed": 1}
    pairs = {
        ("The heart is normal.", "the heart is big."): sqrt(4 / 5 * 2 / 4),
        ("clear lungs", "Lungs clear, heart normal."): np.exp(1 - 5 / 2) * sqrt(1 / 2 * 0.1),
        ("none", "Lungs clear."): 0,
        ("", "Lungs clear."): 0,
        ("a a\nb", "a a b"): np.exp(0) * sqrt(1 / 2 * 0.1) * np.exp(1 - 3 / 2),
    }
    for (written, wanted), score in pairs.items():
        assert rexrank_bleu([written], [wanted], **options)["score"] == pytest.approx(score)
    both = rexrank_bleu(*zip(*pairs, strict=True), **options)
    assert both["score"] == pytest.approx(np.mean(list(pairs.values())))


def test_the_export_keeps_rexranks_own_fields_and_is_read_back(rcan, tmp_path):
    study = {"section_findings": "Lungs clear.", "section_impression": "None.", "context": "Cough"}
    (tmp_path / "theirs.json").write_text(json.dumps({"s0": study, "s1": study}))
    table(tmp_path / "a.csv", ["Lungs, clear.", "Big heart."])
    files = "a.csv", "theirs.json", "--no-meteor", "--rexrank", "out.json"
    code, output, _ = rcan(*files)
    assert code == 0 and "ReXrank BLEU-2" in output
    held = json.loads((tmp_path / "out.json").read_text())
    assert held["s0"] == {**study, "model_prediction": "Lungs, clear."}
    plain = found(rcan, *files[:3])
    assert found(rcan, "out.json", "out.json", "--no-meteor") == plain
    assert "stay where they are" in rcan(*files, "--data", "mimic_cxr")[0]


@pytest.mark.skipif(not IU.is_dir(), reason="IU X-ray is not here")
def test_the_constant_is_the_published_floor(rcan, tmp_path):
    truth = json.loads((IU / "annotation.json").read_text())
    text = most_frequent([Cleaner("iu_xray")(study["report"]) for study in truth["train"]])
    mine = table(tmp_path / "590.csv", [text] * 590, ids=[study["id"] for study in truth["test"]])
    got = found(rcan, mine, IU / "annotation.json", "--beside", PUBLISHED, "--no-meteor")
    assert got["beside"]["rows"]["rcan"]["runs"] == ["main"]
    floors = json.loads((PUBLISHED / "main/scores.json").read_text())["protocols"]
    for protocol in PROTOCOLS:
        for metric, value in got["protocols"][protocol]["model"].items():
            published = floors[protocol]["floors"]["most_frequent"][metric]["score"]
            assert value["score"] == published
        assert got["beside"]["minus"][protocol]["most frequent report"]["BLEU-4"]["difference"] == 0
    assert got["beside"]["same_counts"]["most frequent report"] == 590
    assert got["rexrank"]["score"] == pytest.approx(0.16000626657)
