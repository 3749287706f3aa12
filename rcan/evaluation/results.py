"""Reading and writing what an evaluation and the training before it leave, in one place.

`rcan.evaluation.schema` says what the files hold. What was read is handed on as it stands: plain
objects, lists and numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.errors import UserError
from rcan.evaluation.schema import BestFile, ScoresFile, require
from rcan.files import write_json
from rcan.reading import Shape, read_csv, read_json

SCORES = "scores.json"
PREDICTIONS = "predictions.csv"
_CONFIG: dict[str, Shape] = {
    "scale": str,
    "data": {"name": str},
    "visual": {"backbone": str, "last_layer": str, "weights": str, "frozen": bool, "crop": int},
    "model": dict.fromkeys(
        ("d_model", "num_encoder_layers", "num_decoder_layers", "num_heads"), int
    ),
}
_COLUMNS = {"id": str, "reference": str, "prediction": str, "BLEU-4": float}
_EVALUATE, _TRAIN = "run `dvc repro evaluate`", "run `dvc repro train`"


@dataclass(frozen=True)
class Results:
    """The files of one run and its evaluation, as they were read."""

    scores: dict[str, Any]
    predictions: list[dict[str, str]]
    best: dict[str, Any]
    config: dict[str, Any]
    history: list[dict[str, str]]


def read_results(evaluation: Path, run: Path) -> Results:
    """All that a report of one run needs.

    Raises:
        UserError: a file is missing or damaged, or lacks something.
    """
    best = read_best(run, _TRAIN, "epoch", "key", "data_digest")
    history = read_history(run, _TRAIN)
    epochs = [int(row["epoch"]) for row in history]
    if epochs != list(range(1, len(epochs) + 1)) or best["epoch"] not in epochs:
        raise UserError(
            f"{run / 'history.csv'}: expected the epochs from 1 on, that of best.json among them,"
            f" found others; {_TRAIN}"
        )
    return Results(
        scores=read_scores(evaluation / SCORES, _EVALUATE),
        predictions=read_predictions(evaluation / PREDICTIONS),
        best=best,
        config=read_config(run, _TRAIN),
        history=history,
    )


def write_scores(path: Path, scores: Mapping[str, Any]) -> None:
    """Write scores.json, whole as `ScoresFile` has it."""
    require(ScoresFile, scores, str(path), "mend rcan.evaluation")
    write_json(path, scores)


def read_scores(
    path: Path, remedy: str, needs: Iterable[str] = (), if_there: Iterable[str] = ()
) -> dict[str, Any]:
    """A scores.json with all of `ScoresFile`, or with the dotted keys that the caller `needs`.

    `if_there`: keys that may be absent, but are right where they are not.

    Raises:
        UserError: the file is missing or damaged, or lacks something.
    """
    scores: dict[str, Any] = read_json(path, dict, "scores", remedy)
    require(ScoresFile, scores, str(path), remedy, [*needs, *(k for k in if_there if k in scores)])
    return scores


def read_best(run: Path, remedy: str, *needs: str) -> dict[str, Any]:
    """The best.json of a run, as `read_scores`."""
    best: dict[str, Any] = read_json(run / "best.json", dict, "the best epoch", remedy)
    require(BestFile, best, str(run / "best.json"), remedy, needs)
    return best


def read_config(run: Path, remedy: str) -> dict[str, Any]:
    """The config.json of a run: of its settings those that a report tells of."""
    config: dict[str, Any] = read_json(run / "config.json", _CONFIG, "settings", remedy)
    return config


def read_history(run: Path, remedy: str) -> list[dict[str, str]]:
    """The history.csv of a run, a row an epoch."""
    columns = {"epoch": int}
    return read_csv(run / "history.csv", columns, "a row an epoch", remedy, rest=float)


def read_predictions(path: Path) -> list[dict[str, str]]:
    """The rows of predictions.csv."""
    return read_csv(path, _COLUMNS, "predictions", _EVALUATE)
