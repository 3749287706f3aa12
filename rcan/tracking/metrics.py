"""What things are called in MLflow. The charts group by what stands before the slash."""

from collections.abc import Iterable, Mapping
from typing import Any

from rcan.ablation.cells import FULL, Shown
from rcan.evaluation.scores import METRICS
from rcan.reporting.published import published_row

# history.csv's column -> metric; of the other columns the losses alone are logged.
EPOCH_METRICS = {
    "lr": "train/lr",
    "images_per_second": "train/images_per_second",  # of the moment, so not in history.csv
    "val_distinct_reports": "val/distinct_reports",
    "val_top_share": "val/top_share",
    **{f"val_{metric}": f"val/{metric}" for metric in METRICS},
}

_PREDICTIONS = ("distinct_reports", "top_share", "copied_from_train", "mean_length")
NEEDED = ("restricted", "protocols", "diagnostics")  # by `score_metrics`, of scores.json
IF_THERE = ("controls", "findings")  # older evaluations lack them, studies may lack labels
PRINTED_TAU, PRINTED_LAMBDA = 0.1, 0.7  # of all rows that name neither (Table 5; Fig. 5)


def epoch_metrics(row: Mapping[str, str | float]) -> dict[str, float]:
    """The metrics of one line of history.csv; an empty cell (a loss that is off) is left out."""
    losses = {column: f"train/{column}" for column in row if column.startswith("loss")}
    return {
        name: float(row[column])
        for column, name in (losses | EPOCH_METRICS).items()
        if row.get(column) not in (None, "")
    }


def score_metrics(scores: Mapping[str, Any]) -> dict[str, float]:
    """The test scores of scores.json.

    Strict scores go by their bare names, the floors' by `floor/` (best constant report) and
    `floor_most_frequent/`, and the scores under the paper's protocol by `paper_protocol/`.
    """
    strict, paper = scores["protocols"]["strict"], scores["protocols"]["paper"]
    groups = {
        "": strict["model"],
        "floor/": strict["floors"]["best_constant"],
        "floor_most_frequent/": strict["floors"]["most_frequent"],
        "paper_protocol/": paper["model"],
        "paper_protocol_floor/": paper["floors"]["best_constant"],
    }
    metrics = {
        f"{prefix}{metric}": row[metric]["score"]
        for prefix, row in groups.items()
        for metric in METRICS
    } | {f"predictions/{name}": scores["diagnostics"][name] for name in _PREDICTIONS}
    if "controls" in scores:
        fall = scores["controls"]["image_swap"]["strict"]["fall"]
        metrics["control/fall_BLEU-4"] = fall["BLEU-4"]["difference"]
    if "findings" in scores and _macro_f1(scores) is not None:
        metrics["findings/macro_F1"] = _macro_f1(scores)
    return metrics


def constant_metrics(scores: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of the best constant report as if it were a run, from any scores.json that it
    stands in."""
    known = score_metrics(scores)
    metrics = {
        f"{prefix}{metric}": known[f"{of}{metric}"]
        for prefix, of in (
            ("", "floor/"), ("floor/", "floor/"), ("paper_protocol/", "paper_protocol_floor/"),
        )
        for metric in METRICS
    }  # fmt: skip
    metrics |= {"predictions/distinct_reports": 1, "predictions/top_share": 1.0}
    metrics["control/fall_BLEU-4"] = 0.0
    if "findings" in scores:
        f1 = scores["findings"]["best_constant"]["macro"]["f1"]["score"]
        metrics |= {} if f1 is None else {"findings/macro_F1": f1}
    return metrics


def _macro_f1(scores: Mapping[str, Any]) -> Any:
    return scores["findings"]["model"]["macro"]["f1"]["score"]


def paper_tags(config: Mapping[str, Any], cells: Iterable[Shown] = ()) -> dict[str, str]:
    """The paper's scores of the row that a run repeats, where it prints one.

    Of RCAN and its modules the settings tell which: a cell has the paper's tau and lambda only as
    long as params.yaml has. Of Table 3's other systems `cells` does, the run's as the register
    tells of them.

    As tags: as metrics they would fill the charts of every run.
    """
    data_name = str(config["data.name"])
    of_cells = [("table3", cell.paper["table3"]) for cell in cells if "table3" in cell.paper]
    found = (published_row(data_name, *row) for row in (_printed_row(config), *of_cells))
    row = next(filter(None, found), None) or {}
    return {f"paper.{m}": f"{score:.3f}" for m, score in row.items() if score is not None}


def _printed_row(config: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The table that has the row of these settings, and what it is found by there."""
    cell = printed_cell(config)
    if not cell:
        return "", {}
    if cell == "r2gencmn":
        return "table3", {"model": "R2GenCMN"}
    if cell.startswith("tau_"):
        return "table5", {"tau": cell.removeprefix("tau_")}
    modules = {name: str(int(config[f"model.use_{name}"])) for name in ("rve", "cgm", "wcl")}
    return "table4", modules


def printed_cell(config: Mapping[str, Any]) -> str:
    """The cell of Tables 3 to 5 that settings are; another reading of it is still that cell. Empty
    for none, as of another family of models."""
    if config["model.family"] != "rcan":
        return ""
    modules = [name for name in ("rve", "cgm", "wcl") if config[f"model.use_{name}"]]
    if "cgm" in modules and config["cgm.gate"] == "response":
        return "r2gencmn" if modules == ["cgm"] else ""
    if "wcl" in modules and config["wcl.lambda_ce"] != PRINTED_LAMBDA:
        return ""
    if "wcl" in modules and config["wcl.tau"] != PRINTED_TAU:
        return f"tau_{config['wcl.tau']:g}" if len(modules) == 3 else ""
    return FULL if len(modules) == 3 else "_".join(modules)
