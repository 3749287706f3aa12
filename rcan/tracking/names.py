"""What things are called in MLflow. The charts group by what stands before the slash."""

from collections.abc import Mapping
from typing import Any

from rcan.reading import Shape
from rcan.reporting.published import METRICS, rcan_row

# history.csv's column -> metric; a column that is absent here is not logged.
EPOCH_METRICS = {
    "loss": "train/loss",
    "loss_ce": "train/loss_ce",
    "loss_wcl": "train/loss_wcl",
    "lr": "train/lr",
    "images_per_second": "train/images_per_second",  # of the moment, so not in history.csv
    "val_distinct_reports": "val/distinct_reports",
    "val_top_share": "val/top_share",
    **{f"val_{metric}": f"val/{metric}" for metric in METRICS},
}

_SYSTEM: Shape = {metric: {"score": float} for metric in METRICS}
_PREDICTIONS = ("distinct_reports", "top_share", "mean_length")
SCORES: Shape = {  # what `score_metrics` takes of scores.json
    "restricted": bool,
    "protocols": {
        "strict": {
            "model": _SYSTEM,
            "floors": {"best_constant": _SYSTEM, "most_frequent": _SYSTEM},
        },
        "paper": {"model": _SYSTEM, "floors": {"best_constant": _SYSTEM}},
    },
    "diagnostics": dict.fromkeys(_PREDICTIONS, float),
}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested settings as one level of dotted keys: {"wcl": {"tau": 0.1}} -> {"wcl.tau": 0.1}."""
    flat: dict[str, object] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def epoch_metrics(row: Mapping[str, str | float]) -> dict[str, float]:
    """The metrics of one line of history.csv; an empty cell (a loss that is off) is left out."""
    return {
        name: float(row[column])
        for column, name in EPOCH_METRICS.items()
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
    return {
        f"{prefix}{metric}": row[metric]["score"]
        for prefix, row in groups.items()
        for metric in METRICS
    } | {f"predictions/{name}": scores["diagnostics"][name] for name in _PREDICTIONS}


def paper_tags(data_name: str) -> dict[str, str]:
    """The paper's RCAN row, as tags: as metrics they would fill the charts of every run."""
    row = rcan_row(data_name)
    return {} if row is None else {f"paper.{metric}": f"{row[metric]:.3f}" for metric in METRICS}
