"""Tables of all cells: the paper's columns and order, ours beside theirs, and nothing made up."""

import csv
import json
import re
from dataclasses import replace
from statistics import fmean

import pytest
from cells_on_disk import floors, project
from imports import TOP

import rcan.reporting.attention_numbers as attention_rows
from rcan.ablation.cells import CONTROLS, Shown
from rcan.audit.length import PRESETS
from rcan.audit.logs import Row as LogRow
from rcan.audit.verdict import audit
from rcan.errors import UserError
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.schema import FLOOR_NAMES
from rcan.evaluation.statistics import seed_difference
from rcan.files import write_csv
from rcan.reporting.cells.attention_table import COMMON, attention_table
from rcan.reporting.cells.controls import controls_table
from rcan.reporting.cells.data_table import data_table
from rcan.reporting.cells.findings import findings_table
from rcan.reporting.cells.listings import listings
from rcan.reporting.cells.page import Places, write_ablations
from rcan.reporting.cells.scores import scores_section, scores_sections
from rcan.reporting.published import METRICS, misprints, public_runs, published_table

LEDGER = TOP / "docs" / "readings.md"
SMALL = "dvc exp run -S data.name=iu_xray -S scale=small"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return project(tmp_path_factory.mktemp("demo") / "p").read()


@pytest.fixture(scope="module")
def iu_xray(tmp_path_factory):
    top = tmp_path_factory.mktemp("iu") / "p"
    only = {"main", "rve-1", "rve-2", "rcan-2", "rcan-3", "tau_0.05-1", "lambda_0.3-1"}
    return project(top, data="iu_xray", seeds=(1, 2, 3), only=only).read(SMALL)


@pytest.fixture(scope="module")
def floored(tmp_path_factory):
    """With the floors' counts of each study."""
    only = {"main", "transformer-1", "transformer-2", "blind-1", "r2gencmn-1", "lambda_0.7-1"}
    return project(tmp_path_factory.mktemp("f") / "p", seeds=(1, 2), only=only).read("", floors())


def section(ablations, name):
    [listing] = [one for one in listings(ablations) if one.name == name]
    return scores_section(ablations, listing)


def rows_of(table, title):
    [part] = [part for part in table.tables if part.title.startswith(title)]
    return [[str(cell) for cell in row] for row in part.rows], part


def test_table_4_has_the_papers_rows_in_its_order_each_with_ours_below(iu_xray):
    rows, part = rows_of(section(iu_xray, "table4"), "Scores, paper")
    assert part.columns == ["RVE", "CGM", "WCL", "scores of", *METRICS]
    papers = [row for row in rows if row[3] == "the paper"]
    wanted = [row for row in published_table(4) if row["dataset"] == "iu_xray"]
    for row, printed in zip(papers, wanted, strict=True):
        assert row[:3] == ["✓" if printed[m] == "1" else "–" for m in ("rve", "cgm", "wcl")]
        assert row[4:] == [printed[metric] for metric in METRICS]
    first = [row[3].split(",")[0].split(":")[0] for row in rows if row[:3] == ["✓", "–", "–"]]
    assert first == ["the paper", "ours", "ours − paper"]


def test_the_difference_from_the_paper_is_ours_minus_theirs(iu_xray):
    rows, _ = rows_of(section(iu_xray, "table5"), "Scores, paper")
    theirs, ours, gap = (float(row[2].split()[0].replace("−", "-"))
                         for row in rows if row[0] == "0.05")  # fmt: skip
    assert gap == pytest.approx(ours - theirs, abs=1.1e-3)


def test_several_seeds_have_a_spread_one_says_that_it_is_one(iu_xray):
    rows, _ = rows_of(section(iu_xray, "table4"), "Scores, strict")
    [rve] = [row for row in rows if row[:3] == ["✓", "–", "–"]]
    assert rve[3] == "ours, 2 of 3 seeds"
    assert all(
        re.fullmatch(r"0\.\d{3} ± 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", cell) for cell in rve[4:]
    )
    rows, _ = rows_of(section(iu_xray, "table5"), "Scores, strict")
    assert rows[0][1] == "ours, 1 of 3 seeds" and "±" not in rows[0][2]


def test_what_is_not_run_says_so_with_the_command_that_runs_it(iu_xray):
    table = section(iu_xray, "table4")
    rows, _ = rows_of(table, "Scores, paper")
    _, source = rows_of(table, "Where each number comes from")
    run = "dvc exp run ablations/dvc.yaml:evaluate@cgm-1 -S data.name=iu_xray -S scale=small"
    command = f"RCAN_CELLS=cgm-1 {run}"
    missing = [row for row in rows if "not run" in row[3]]
    assert ["–", "✓", "–", "ours: not run"] in [row[:4] for row in missing]
    assert f"cgm-1: `{command}`" in source.notes
    assert all(cell == "not run" for row in missing for cell in row[4:])
    assert all(cell for row in rows for cell in row)


def test_a_published_run_tells_its_parameters_and_minutes(tmp_path):
    made = project(tmp_path, only={"main", "cgm-1"})
    folder = tmp_path / "runs/cgm-1"
    best = json.loads((folder / "best.json").read_text())
    (folder / "best.json").write_text(json.dumps({**best, "parameters": 1_601_595}))
    rows = [{"epoch": epoch, "loss": 1.5, "images_per_second": 0.5} for epoch in (1, 2, 3)]
    write_csv(folder / "history.csv", rows)
    ablations = made.read()
    _, source = rows_of(section(ablations, "table4"), "Where each number comes from")
    told = {row[0]: row[5:7] for row in source.rows}
    images = ablations.summary["splits"]["train"]["studies"] * 2
    minutes = f"{3 * images * 2 / 60:.0f}"
    assert [str(value) for value in told["cgm-1"]] == ["1.60", minutes]
    assert [str(value) for value in told["rcan-1"]] == ["–", "–"]


def test_a_reading_that_is_not_run_names_the_stage_of_the_readings(iu_xray):
    _, source = rows_of(section(iu_xray, "readings"), "Where each number comes from")
    [told] = [note for note in source.notes if note.startswith("wcl_denominator_all-1: ")]
    assert ":evaluate_reading@wcl_denominator_all-1 " in told


def test_a_reading_tells_the_settings_that_it_changes(iu_xray):
    rows, _ = rows_of(section(iu_xray, "readings"), "Scores, strict")
    changes = {row[0]: row[1] for row in rows}
    assert changes["wcl_denominator_all"] == "wcl.denominator = all (not negatives)"
    assert changes["cgm_top_k_32"] == "cgm.top_k = 32 (not none)"
    assert "train.lr_visual" in changes["release_lr"] and "train.lr " in changes["release_lr"]
    assert "train.seed" not in " ".join(changes.values())


def test_every_cell_of_a_table_is_compared_with_the_full_model_under_holm(iu_xray):
    rows, part = rows_of(section(iu_xray, "table4"), "Differences from the full model, strict")
    assert [row[:3] for row in rows] == [["✓", "–", "–"]]
    assert "6 tests" in part.caption and all("; p " in cell for cell in rows[0][4:])


def test_modules_are_compared_with_the_transformer_too_in_a_part_and_a_test_of_their_own(demo):
    full, part = rows_of(section(demo, "table4"), "Differences from the Transformer, strict")
    assert len(full) == 7 and "minus the Transformer (transformer)" in part.caption
    assert "42 tests" in part.caption
    scores = {r["source"]: r["BLEU-4"] for r in section(demo, "table3").records
              if (r["protocol"], r["statistic"]) == ("strict", "score")}  # fmt: skip
    leads = {r["source"]: r["BLEU-4"] for r in section(demo, "table3").records
             if (r["protocol"], r["statistic"]) == ("strict", "minus transformer")}  # fmt: skip
    lead = scores["ours: rcan"] - scores["ours: transformer"]
    assert leads["ours: rcan"] == pytest.approx(lead, abs=1e-5)
    assert "ours: transformer" not in leads


def test_with_one_seed_the_noise_of_seeds_is_called_unknown(demo):
    _, part = rows_of(section(demo, "table4"), "Differences from the full model, strict")
    assert "the noise of seeds is unknown" in part.caption


@pytest.mark.parametrize("make", ["table3", "table4", "table5", "fig5", "readings"])
def test_no_number_of_the_paper_stands_in_a_part_with_scores_of_the_demo(demo, make):
    for part in section(demo, make).tables:
        told = " ".join(str(cell) for row in part.rows for cell in row)
        if "The paper's own numbers" in part.title:
            assert "ours" not in told and "other data" in part.title
            assert "IU X-ray" in part.title or "MIMIC-CXR" in part.title
        else:
            assert "the paper" not in told.replace("the paper's three modules", "")
            assert "drawn phantoms" in part.caption


@pytest.mark.parametrize("name", ["demo", "iu_xray"])
def test_every_part_names_its_data_and_every_title_too(name, request):
    ablations = request.getfixturevalue(name)
    told = {"demo": "demo (drawn phantoms, no X-rays)", "iu_xray": "IU X-ray"}[name]
    for table in [
        data_table(ablations),
        *scores_sections(ablations),
        controls_table(ablations),
        findings_table(ablations),
    ]:
        assert told in table.title or table.name == "table2"
        for part in table.tables:
            assert told in part.caption
        if table.name != "table2":
            assert all(
                "40 studies" in p.caption for p in table.tables if "paper's own" not in p.title
            )
        assert {row["data"] for row in table.records} == {name}


def test_both_floors_stand_in_every_table_of_scores(demo):
    for table in scores_sections(demo):
        for part in table.tables:
            if part.title.startswith("Scores"):
                assert [row.kind for row in part.rows][-2:] == ["floor", "floor"]


def test_a_new_row_of_table_3_is_a_matter_of_the_register_alone(iu_xray):
    told = Shown("NIC", {"table3": ("NIC", "one LSTM")}, {"table3": {"model": "NIC"}})
    more = replace(
        iu_xray,
        cells=replace(iu_xray.cells, shown={**iu_xray.cells.shown, "nic": told}),
        models={**iu_xray.models, "nic": replace(iu_xray.model("rve"), cell="nic")},
        scores={**iu_xray.scores, **{("nic", p): iu_xray.scores["rve", p] for p in PROTOCOLS}},
    )
    rows, _ = rows_of(section(more, "table3"), "Scores, paper")
    nic = [row for row in rows if row[0] == "NIC"]
    assert [row[1:3] for row in nic] == [
        ["Vinyals et al., 2015", "the paper, cited"],
        ["one LSTM", "ours, 2 of 3 seeds"],
        ["one LSTM", "ours − paper"],
    ]
    assert nic[2][3 + METRICS.index("METEOR")] == "–" != nic[2][3]
    rows, _ = rows_of(findings_table(more), "All findings")
    assert "NIC" in [row[0] for row in rows]


def test_table_3_marks_whose_scores_a_row_holds(iu_xray):
    rows, _ = rows_of(section(iu_xray, "table3"), "Scores, paper")
    sources = {(row[0], row[2]) for row in rows}
    assert ("NIC", "the paper, cited") in sources and ("RCAN", "the paper") in sources
    assert ("R2Gen", "its public log") in sources
    assert ("RCAN", "ours, 3 seeds") in sources
    assert ("best constant report", "floor, no model") in sources
    log, other = (row for row in rows if row[2] == "its public log")
    assert log[3:] == ["0.462", "0.299", "0.221", "0.173", "0.187", "0.363"]
    assert [row[1].rpartition(": ")[2] for row in (log, other)] == ["lengths differ", "one report"]


def test_our_rows_of_table_3_have_their_own_names(iu_xray):
    table, shown = section(iu_xray, "table3"), iu_xray.cells.shown
    own = {told.row["table3"] for told in shown.values() if "table3" in told.row}
    rows, _ = rows_of(table, "Scores, paper")
    ours = {tuple(row[:2]) for row in rows if row[2].startswith("ours")}
    assert ours == own and ("CMAS-RL", "Jing et al., 2019") not in ours
    of_files = {(row["model"], row["what it is"]) for row in table.records
                if row["source"].startswith("ours")}  # fmt: skip
    assert of_files == own


def test_rexranks_score_stands_beside_the_controls_where_it_is_known(iu_xray):
    assert "ReXrank BLEU-2" not in controls_table(iu_xray).tables[0].columns
    known = {
        name: {"score": score, "low": score - 0.01, "high": score + 0.01}
        for name, score in (("rve-1", 0.25), ("rve-2", 0.27), ("best_constant", 0.306))
    }
    table = controls_table(replace(iu_xray, rexrank=known))
    rows = {row[0]: row[-1] for row in rows_of(table, "What overlap")[0]}
    assert rows["RVE (rve)"] == "0.260 ± 0.014 [0.250, 0.270]"
    assert rows["best constant report"] == "0.306 [0.296, 0.316]"
    assert rows["RCAN (rcan)"] == "–"
    told = {(row["cell"], row["seed"]): row["ReXrank BLEU-2"] for row in table.records}
    assert (told["rve", 2], told["rve", 3], told["rcan", 1]) == (0.27, None, None)


def test_every_system_is_tested_against_the_constant_report(floored, iu_xray):
    rows, _ = rows_of(section(floored, "table3"), "Differences from the best constant report, str")
    [row] = [row for row in rows if row[0] == "Transformer"]
    runs = list(floored.counts("transformer", "strict").values())
    num_tests = 4 * len(METRICS)  # transformer, r2gencmn, rcan, blind
    assert len(rows) == 4 and len(runs) == 2 and row[2] == "2 seeds"
    wanted = seed_difference(
        runs, [floors()["strict"]["best_constant"]] * 2, resamples=40 * num_tests, seed=1
    )["BLEU-4"]
    told = [f"{wanted[key]:+.3f}".replace("-", "−") for key in ("difference", "low", "high")]
    assert row[6].startswith(told[0]) and f"[{told[1]}, {told[2]}]" in row[6]
    titles = [table.title for table in section(iu_xray, "table3").tables]
    assert not any("constant" in title for title in titles)  # where its counts are not known


def test_floors_on_other_references_are_refused(tmp_path):
    made = project(tmp_path / "p", only={"main"})
    other = {p: {name: replace(s, references="other") for name, s in of.items()}
             for p, of in floors().items()}  # fmt: skip
    with pytest.raises(UserError, match="one set of strict references"):
        made.read("", other)


def test_how_often_a_row_ranks_first_adds_up_and_leaves_controls_and_floors_apart(floored):
    table = section(floored, "table3")
    rows, _ = rows_of(table, "How often")
    assert [row[0] for row in rows[-2:]] == list(FLOOR_NAMES.values())
    shares = [[cell.removesuffix(" %") for cell in row[3:]] for row in rows]
    for place, of in enumerate(zip(*shares, strict=True)):
        known = [float(share) for share in of if share != "–"]
        assert sum(known) == pytest.approx(100, abs=0.3)
        assert len(known) == (6 if place % 2 else 3)
    [blind] = [row for row in rows if row[0] == "Transformer without images"]
    assert blind[3] == blind[5] == "–" != blind[4]
    found = {
        (r["source"], r["statistic"]): r["BLEU-4"]
        for r in table.records if r["protocol"] == "paper" and r["statistic"].startswith("first")
    }  # fmt: skip
    told = {row[0]: row[4] for row in rows}
    share = found["ours: transformer", "first of all rows"]
    assert told["Transformer"] == f"{100 * share:.1f} %"
    assert ("ours: blind", "first of systems") not in found
    assert ("floor: best_constant", "first of all rows") in found


def test_equal_cells_rank_first_together(floored):
    firsts, _ = floored.firsts(["rcan", "tau_0.1", "transformer"], "paper")
    assert firsts["rcan"] == firsts["tau_0.1"] == pytest.approx(1 - firsts["transformer"])


def test_the_public_log_is_the_chosen_epoch_of_the_run_as_it_was_found(shared):
    with (shared / "paper" / "r2gen_public_run.csv").open() as file:
        epochs = list(csv.DictReader(file))
    best = max(epochs, key=lambda row: float(row["val_BLEU_4"] or 0))
    row = public_runs("table3")[0]
    assert row["epoch"] == best["epoch"]
    for metric in METRICS:
        found = float(best[f"test_{metric.replace('-', '_')}"])
        assert float(row[metric]) == pytest.approx(found, abs=1e-6)


def test_the_length_tests_of_public_logs_are_those_of_the_audit():
    for run in public_runs("table3"):
        scores = {split: {str(n): run[f"{prefix}BLEU-{n}"] for n in range(1, 5)}
                  for split, prefix in (("val", "val_"), ("test", ""))}  # fmt: skip
        found = audit([LogRow("a row", scores=scores)], PRESETS["iu_xray"])
        assert found["rows"][0]["verdict"] == run["length_test"]


def test_the_misprints_are_what_the_printed_numbers_show():
    rows = {r["model"]: r for r in published_table(3) if r["dataset"] == "iu_xray"}
    bleus = METRICS[:4]
    assert [rows["HRGR-Agent"][m] for m in bleus] == [rows["NIC"][m] for m in bleus]
    ratios = {m: (float(r["BLEU-2"]) / float(r["BLEU-1"])) ** 2 for m, r in rows.items()}
    odd = ratios.pop("SA&T")
    assert f"{odd:.3f}" == "0.548" and f"{(0.251 / 0.399) ** 2:.3f}" == "0.396"
    assert (f"{min(ratios.values()):.3f}", f"{max(ratios.values()):.3f}") == ("0.330", "0.444")
    assert 227_758 + 1_808 + 3_269 > 227_835
    notes = " ".join(misprints(3))
    for figure in ("0.548", "0.396", "0.330 to 0.444", "0.438 / 0.298 / 0.208 / 0.151"):
        assert figure in notes


def test_table_2_sets_counts_as_found_beside_the_papers(iu_xray, demo):
    rows, part = rows_of(data_table(iu_xray), "The data")
    reports = next(row for row in rows if row[0] == "REPORTs")
    assert reports == ["REPORTs", "8", "12", "40", "2,770", "395", "790", "−2,762", "−383", "−750"]
    assert [row[0] for row in rows] == ["IMAGEs", "REPORTs", "PATIENTs", "AVG.LEN"]
    rows, part = rows_of(data_table(demo), "The data")
    assert len(part.columns) == 4 and "2,770" not in str(rows)


def test_the_grid_of_lambda_ends_with_the_full_model(demo):
    rows, _ = rows_of(section(demo, "fig5"), "Scores, strict")
    assert [row[0] for row in rows][:2] == ["CE alone", "0.1"]
    assert rows[10][0] == "the full model's"


def test_controls_stand_beside_every_planned_cell(demo, iu_xray):
    table = controls_table(demo)
    rows, part = rows_of(table, "What overlap")
    assert len(rows) == len(demo.models) + 2  # and the floors
    assert {row["cell"] for row in table.records} == set(demo.models)
    for row, kind in zip(rows, [row.kind for row in part.rows], strict=True):
        of_own_stage = any(f"({name})" in row[0] for name in CONTROLS)
        assert (
            (of_own_stage and kind == "missing")
            or kind == "floor"
            or re.fullmatch(r"[+−]0\.\d{3} \[[+−]0\.\d{3}, [+−]0\.\d{3}\]", row[4])
        )
    assert any("(blind)" in row[0] for row in rows)
    rows, _ = rows_of(controls_table(iu_xray), "What overlap")
    assert sum("not run" in row[1] for row in rows) > 20
    [rcan] = [row for row in rows if "(rcan)" in row[0]]
    assert "±" in rcan[2] and "±" in rcan[5]
    found = [r.scores["controls"]["image_swap"]["strict"]["fall"]["BLEU-4"]
             for r in iu_xray.model("rcan").results]  # fmt: skip
    ends = (f"{fmean(fall[end] for fall in found):+.3f}" for end in ("low", "high"))
    assert rcan[4].endswith(f" [{', '.join(ends)}]".replace("-", "−")) and " ± " in rcan[4]
    assert rows[-1][:2] == ["most frequent report", "floor, no model"]


def test_the_controls_of_its_cells_stand_in_every_table_of_scores(demo):
    for make, cells in (("table4", 7), ("table5", 5), ("readings", len(demo.cells.readings) + 1)):
        rows, _ = rows_of(section(demo, make), "What overlap")
        assert len(rows) == cells + 2


def test_a_cell_that_is_not_planned_says_so(tmp_path):
    made = project(tmp_path / "p", only={"main"})
    (made.top / "plan" / "blind-1.json").unlink()
    rows, _ = rows_of(section(made.read(), "table3"), "Scores, strict")
    [blind] = [row for row in rows if row[0] == "Transformer without images"]
    assert blind[2] == "ours: not in `ablations/cells.yaml`"


def test_groups_tell_how_unlike_validation_and_test_are(demo):
    rows, part = rows_of(controls_table(demo), "BLEU-4 by group")
    assert part.columns[2:] == ["report in train, 10 studies", "not in train, 30 studies"]
    assert "25.0 % of test are found in train, of validation 50.0 %" in part.caption
    assert rows[-1][1] == "floor, no model"


def test_findings_stand_beside_the_labelers_own_limit_and_0_of_0_has_no_score(demo):
    rows, _ = rows_of(findings_table(demo), "All findings")
    names = [row[0] for row in rows]
    assert "Transformer without images" in names
    assert names[-1] == "the reference reports: the labeler's own limit"
    constant = next(row for row in rows if row[0] == "best constant report")
    assert constant[1] == "–"


def test_findings_of_several_seeds_are_their_mean_and_each_seed_is_in_the_csv(iu_xray):
    table = findings_table(iu_xray)
    rows, _ = rows_of(table, "All findings")
    spread = {row[0]: "±" in row[1] for row in rows}
    assert spread["RVE"] and spread["RCAN"] and not spread["best constant report"]
    rows, _ = rows_of(table, "F1 of each")
    assert rows[0][2].endswith(" 5, 3")
    seeds = {(r["reports of"], r["seed"]) for r in table.records}
    assert {("RVE", 1), ("RVE", 2), ("best constant report", "")} <= seeds
    assert ("RVE", 3) not in seeds


def test_a_rate_that_some_seeds_lack_says_how_many_have_it(tmp_path):
    made = project(tmp_path / "p", seeds=(1, 2, 3), only={"main", "rve-1", "rve-2"})
    path = made.top / "evaluation" / "rve-2" / "scores.json"
    scores = json.loads(path.read_text())
    nothing = dict.fromkeys(("score", "low", "high"))
    scores["findings"]["model"]["macro"]["precision"] = nothing
    path.write_text(json.dumps(scores))
    rows, _ = rows_of(findings_table(made.read()), "All findings")
    [rve] = [row for row in rows if row[0] == "RVE"]
    assert re.fullmatch(r"0\.\d{3} \[0\.\d\d, 0\.\d\d\]; 1 of 2 seeds", rve[1])
    assert re.fullmatch(r"0\.\d{3} ± 0\.\d{3}", rve[2])


def pointing(path, data="demo", words="342"):
    told = "data,run,word,finding,words,times_even,times_even_low,times_even_high,times_all_words"
    row = f"{data},rcan-1,name,all that every model names,{words},1.5,1.25,1.75,"
    path.write_text(f"{told}\n{row}\n{data},rcan-1,name,nodule,9,2,1,3,\n")
    return path


def test_figure_4_as_numbers_tells_what_all_models_name(demo, tmp_path):
    table = attention_table(demo, pointing(tmp_path / "fig4.csv"))
    [row] = [[str(cell) for cell in row] for row in table.tables[0].rows]
    assert row[0] == "RCAN (rcan-1)" and row[2:] == ["342", "1.50 [1.25, 1.75]", "–"]
    assert len(table.records) == 2


def test_figure_4_is_read_by_the_name_that_it_is_written_under():
    assert COMMON == attention_rows.COMMON


def test_figure_4_of_no_measure_has_no_table_and_of_other_data_is_refused(demo, tmp_path):
    assert attention_table(demo, tmp_path / "none.csv") is None
    path = tmp_path / "fig4.csv"
    path.write_text("data,run,word,finding\n")
    assert attention_table(demo, path) is None
    assert attention_table(demo, pointing(path, words="0")) is None
    with pytest.raises(UserError, match="one data set in a table"):
        attention_table(demo, pointing(path, data="iu_xray"))
    path.write_text("data,run\ndemo,rcan-1\n")
    with pytest.raises(UserError, match=r"fig4\.csv: expected the columns"):
        attention_table(demo, path)


def test_markdown_latex_and_csv_hold_the_same_table(tmp_path, iu_xray):
    places = Places(
        tmp_path / "t", tmp_path / "e", tmp_path / "fig4.csv", tmp_path / "index.html", LEDGER
    )
    write_ablations(iu_xray, places)
    names = {"table2", "table3", "table4", "table5", "fig5", "readings", "controls", "findings"}
    for name in names:
        assert {p.suffix for p in places.tables.glob(f"{name}.*")} >= {".md", ".tex", ".csv"}
    with (places.tables / "table4.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-8:-2] == list(METRICS)
    [rve] = [r for r in rows if (r["source"], r["protocol"], r["statistic"])
             == ("ours: rve", "paper", "score")]  # fmt: skip
    assert f"{float(rve['BLEU-4']):.3f}" in (places.tables / "table4.md").read_text()
    assert f"{float(rve['BLEU-4']):.3f}" in (places.tables / "table4.tex").read_text()
    assert rve["seeds"] == "1 2" and "evaluate@rve-1" in rve["command"] and rve["commit"]
    missing = [r for r in rows if r["statistic"] == "not run"]
    assert missing and all(r["BLEU-4"] == "" and r["command"] for r in missing)


def test_the_same_results_give_the_same_files_to_the_byte(tmp_path, demo):
    contents = []
    for name in ("one", "two"):
        out = tmp_path / name
        write_ablations(demo, Places(out, out / "e", out / "fig4", out / "i.html", LEDGER))
        contents.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
    assert contents[0] == contents[1]


def test_every_tabular_of_a_table_has_as_many_cells_a_row_as_columns(demo):
    for table in [
        data_table(demo),
        *scores_sections(demo),
        controls_table(demo),
        findings_table(demo),
    ]:
        for part in table.tables:
            assert {len(row) for row in part.rows} == {len(part.columns)}, part.title
        text = table.latex()
        assert text.count(r"\toprule") == text.count(r"\bottomrule") == len(table.tables)
        assert text.isascii() or not set(text) & set("±−λτ✓×–†")
