"""Scores as a plain-text table that never shows a model without its floors."""

from typing import Any

from rcan.errors import UserError
from rcan.evaluation.diagnostics import is_collapsed
from rcan.evaluation.scores import METRICS
from rcan.table import Table, measured, number, percent

COLUMNS = ("model, 95 %", "most frequent", "best constant", "model - best floor, 95 %")


def score_table(scores: dict[str, Any]) -> str:
    """The six metrics under each protocol, then the diagnostics; no report text.

    A line holds the model with its 95 % interval, both floors, and the difference from the stronger
    one with its paired interval. `scores` is what `evaluate` returns, or scores.json.

    Raises:
        UserError: floors or diagnostics are missing.
    """
    try:
        blocks = [
            _block(protocol, systems, scores["beats_floor"][protocol])
            for protocol, systems in scores["protocols"].items()
        ]
        return "\n\n".join([*blocks, _diagnostics(scores["diagnostics"])])
    except KeyError as error:
        raise UserError(
            f"expected scores with their floors and diagnostics; {error} is missing;"
            " run the evaluation again"
        ) from error


def _block(protocol: str, systems: dict[str, Any], beats_floor: dict[str, Any]) -> str:
    model, floors = systems["model"], systems["floors"]
    rows = [
        [
            metric,
            measured(model[metric]),
            number(floors["most_frequent"][metric]["score"]),
            number(floors["best_constant"][metric]["score"]),
            measured(beats_floor[metric], "+.3f"),
        ]
        for metric in METRICS
        if metric in model
    ]
    return Table([protocol, *COLUMNS], rows).text()


def _diagnostics(found: dict[str, Any]) -> str:
    return (
        f"{'collapsed' if is_collapsed(found) else 'varied'}:"
        f" {found['distinct_reports']} different reports for {found['num_studies']} studies, the"
        f" commonest for {percent(found['top_share'], 0)}\n"
        f"{percent(found['copied_from_train'], 0)} word for word from train;"
        f" {found['mean_length']:.1f} words on average,"
        f" {found['reference_mean_length']:.1f} in the references"
    )
