"""Reading what a run and its evaluation left, each file checked to hold all that a report needs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.errors import UserError
from rcan.reading import Shape, read_csv, read_json
from rcan.reporting.control_shapes import require_controls
from rcan.reporting.published import METRICS
from rcan.reporting.tables import FLOORS, PROTOCOLS

_EVALUATE, _TRAIN = "run `dvc repro evaluate`", "run `dvc repro train`"
_SHARE, _LEAD = (0, 1), (-1, 1)
SYSTEM: Shape = {metric: dict.fromkeys(("score", "low", "high"), _SHARE) for metric in METRICS}
SCORES: dict[str, Shape] = {
    "data": str,
    "split": re.compile("train|val|test"),
    "restricted": bool,
    "num_studies": int,
    "data_digest": str,
    "run": str,
    "model": str,
    "seed": int,
    "epoch": int,
    "beam_size": int,
    "length_penalty": float,
    "signature": str,
    "protocols": {
        protocol: {"model": SYSTEM, "floors": dict.fromkeys(FLOORS, SYSTEM)}
        for protocol in PROTOCOLS
    },
    "beats_floor": {
        protocol: {
            metric: dict.fromkeys(("difference", "low", "high"), _LEAD) for metric in METRICS
        }
        for protocol in PROTOCOLS
    },
    "floors": {floor: {"text": str} for floor in FLOORS},
    "diagnostics": {
        "num_studies": int,
        "distinct_reports": int,
        "top_share": _SHARE,
        "copied_from_train": _SHARE,
        "mean_length": float,
        "reference_mean_length": float,
    },
}
BEST: Shape = {"epoch": int, "key": str, "data_digest": str}
CONFIG: dict[str, Shape] = {
    "data": {"name": str},
    "visual": {"backbone": str, "last_layer": str, "weights": str, "frozen": bool, "crop": int},
    "model": dict.fromkeys(
        ("d_model", "num_encoder_layers", "num_decoder_layers", "num_heads"), int
    ),
}
PREDICTIONS = {"id": str, "reference": str, "prediction": str, "BLEU-4": float}


@dataclass(frozen=True)
class Results:
    """The files of one run and its evaluation, as they were read."""

    scores: dict[str, Any]
    predictions: list[dict[str, str]]
    best: dict[str, Any]
    config: dict[str, Any]
    history: list[dict[str, str]]


def read_results(evaluation: Path, run: Path) -> Results:
    """Read scores.json and predictions.csv, best.json, config.json and history.csv.

    Raises UserError when one is missing, damaged, or lacks what a report needs.
    """
    best = read_json(run / "best.json", BEST, "the best epoch", _TRAIN)
    path = run / "history.csv"
    history = read_csv(path, {"epoch": int}, "a row an epoch", _TRAIN, rest=float)
    epochs = [int(row["epoch"]) for row in history]
    if epochs != list(range(1, len(epochs) + 1)) or best["epoch"] not in epochs:
        raise UserError(
            f"{path}: expected the epochs from 1 on, that of best.json among them, found others; "
            f"{_TRAIN}"
        )
    path = evaluation / "scores.json"
    scores = read_json(path, SCORES, "scores", _EVALUATE)
    require_controls(scores, str(path), _EVALUATE)
    return Results(
        scores=scores,
        predictions=read_predictions(evaluation / "predictions.csv"),
        best=best,
        config=read_json(run / "config.json", CONFIG, "settings", _TRAIN),
        history=history,
    )


def read_predictions(path: Path) -> list[dict[str, str]]:
    """The rows of predictions.csv."""
    return read_csv(path, PREDICTIONS, "predictions", _EVALUATE)
