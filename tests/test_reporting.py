"""What the tables and the page say, and refuse to say."""

import csv
import json

import pytest
from fabricated import SENTENCES, scores_of, write_evaluation, write_processed, write_run

from rcan.errors import UserError
from rcan.evaluation.results import read_config
from rcan.reporting.published import METRICS, num_reports, published_table, rcan_row
from rcan.reporting.report import _sizes, write_report
from rcan.reporting.tables import (
    COLUMNS,
    cautions,
    published_note,
    results_markdown,
    results_rows,
)


def report(tmp_path, scores: dict):
    """Write the report of fabricated results; returns its folder."""
    digest = write_processed(
        tmp_path / "processed", name=scores["data"], num_studies=scores["num_studies"]
    )
    write_evaluation(tmp_path / "evaluation", scores | {"data_digest": digest})
    write_run(tmp_path / "run", data=scores["data"], data_digest=digest)
    write_report(
        evaluation=tmp_path / "evaluation",
        run=tmp_path / "run",
        processed=tmp_path / "processed",
        out=tmp_path / "out",
        command="dvc exp run",
    )
    return tmp_path / "out"


def test_the_papers_rows():
    assert list(rcan_row("iu_xray").values()) == [0.521, 0.346, 0.245, 0.186, 0.212, 0.399]
    assert list(rcan_row("mimic_cxr").values()) == [0.392, 0.247, 0.167, 0.118, 0.153, 0.275]
    assert rcan_row("demo") is None
    assert (num_reports("iu_xray", "test"), num_reports("demo", "test")) == (790, None)
    assert [len(published_table(number)) for number in (2, 3, 4, 5)] == [6, 25, 14, 5]


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize("data", ["demo", "iu_xray"])
def test_every_table_names_data_studies_and_protocol_and_shows_both_floors(data, protocol):
    table = results_markdown(scores_of(data, num_studies=77), protocol)
    for fact in (data, "77 studies", f"{protocol} protocol", "best constant", "most frequent"):
        assert fact in table
    bleu_4 = next(line for line in table.splitlines() if line.startswith("| BLEU-4"))
    assert "0.171" in bleu_4 and "0.080" in bleu_4 and "+0.015 [+0.005, +0.025]" in bleu_4


def test_the_published_row_stands_only_beside_its_own_data_and_protocol():
    shown = {
        (data, protocol): "RCAN, Table 3" in results_markdown(scores_of(data), protocol)
        for data in ("demo", "iu_xray", "mimic_cxr")
        for protocol in ("strict", "paper")
    }
    assert [key for key, there in shown.items() if there] == [
        ("iu_xray", "paper"),
        ("mimic_cxr", "paper"),
    ]
    assert "no published row" in published_note(scores_of("demo"))
    assert "790 reports; ours on 590" in published_note(scores_of("iu_xray", num_studies=590))


def test_tidy_rows_hold_every_system_once():
    rows = results_rows(scores_of("iu_xray"))
    assert all(tuple(row) == COLUMNS for row in rows)
    assert len(rows) == len({tuple(row.values())[:5] for row in rows}) == (2 * 5 + 1) * 6
    [published] = [r for r in rows if r["protocol"] == "published" and r["metric"] == "BLEU-4"]
    assert (published["score"], published["low"]) == (0.186, None)


@pytest.mark.parametrize("missing", ["best_constant", "most_frequent"])
def test_no_score_is_shown_without_its_floor(missing):
    scores = scores_of()
    del scores["protocols"]["strict"]["floors"][missing]
    with pytest.raises(UserError, match=missing):
        results_rows(scores)
    with pytest.raises(UserError, match=missing):
        results_markdown(scores, "strict")


def test_a_good_model_needs_no_caution():
    assert cautions(scores_of(model=0.3, constant=0.1)) == []


def test_a_collapsed_model_and_one_below_its_floor_are_called_so_above_the_tables(tmp_path):
    scores = scores_of(model=0.171, constant=0.171, num_studies=40)
    scores["diagnostics"] |= {"distinct_reports": 1, "top_share": 1.0}
    page = (report(tmp_path, scores) / "results.md").read_text()
    above = page[: page.index("| BLEU-1")]
    assert "**The model has collapsed" in above
    assert "**The model is not shown to beat one constant report" in above


def test_the_page_holds_the_facts_and_no_report_text(tmp_path):
    out = report(tmp_path, scores_of("iu_xray", num_studies=40))
    page = (out / "results.md").read_text()
    for fact in ("40 studies", "seed: 1", "epoch, chosen by validation BLEU-4: 9", "beam size: 3"):
        assert fact in page
    assert "dvc exp run" in page and "(scores.png)" in page and "(training.png)" in page
    assert not [sentence for sentence in SENTENCES if sentence in page]
    with (out / "results.csv").open() as file:
        assert {row["data"] for row in csv.DictReader(file)} == {"iu_xray"}


@pytest.mark.parametrize("family", ["rcan", "nic", None])
def test_layers_are_told_of_rcan_alone(tmp_path, family):
    write_run(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["model"]["family"]  # as before there were families
    config["model"] |= {"family": family} if family else {}
    if family == "nic":
        del config["model"]["num_heads"]
    path.write_text(json.dumps(config))
    config = read_config(tmp_path, "-")
    told = _sizes(config["visual"], config["model"])
    assert f"d_model {config['model']['d_model']}" in told
    assert (" layers, " in told and " heads" in told) == (family != "nic")


def test_examples_are_the_ranks_from_best_to_worst(tmp_path):
    out = report(tmp_path, scores_of(num_studies=41)) / "examples"
    text = (out / "examples.md").read_text()
    heads = [line for line in text.splitlines() if line.startswith("## ") and " of " in line]
    assert [head.split()[1] for head in heads] == ["1", "9", "17", "25", "33", "41"]
    assert [head.split()[-1] for head in heads] == [f"study-{i:03}" for i in range(40, -1, -8)]
    views = {path.name for path in out.glob("study*.png")}
    assert all(f"({view})" in text for view in views)
    assert len(views) == 12
    assert "examples.png" in text


def test_fewer_studies_than_examples_are_all_shown(tmp_path):
    text = (report(tmp_path, scores_of(num_studies=2)) / "examples/examples.md").read_text()
    assert "1 of 2 · " in text and "2 of 2 · " in text


def test_predictions_of_other_data_are_refused(tmp_path):
    report(tmp_path, scores_of(num_studies=12))
    write_evaluation(tmp_path / "evaluation", scores_of(num_studies=13))
    with pytest.raises(UserError, match="study-012"):
        write_report(
            evaluation=tmp_path / "evaluation",
            run=tmp_path / "run",
            processed=tmp_path / "processed",
            out=tmp_path / "other",
            command="",
        )
    assert not (tmp_path / "other").exists()


def test_the_same_results_give_the_same_report_to_the_byte(tmp_path):
    contents = []
    for name in ("one", "two"):
        out = report(tmp_path / name, scores_of(num_studies=12))
        files = sorted(path for path in out.rglob("*") if path.is_file())
        contents.append({str(path.relative_to(out)): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert {"results.md", "results.csv", "scores.png", "training.png"} <= set(contents[0])


def test_one_key_set_for_the_metrics():
    assert METRICS == ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L")
