"""Rebuilding MLflow's runs from the files that are the result.

A stage that DVC restores from its cache logs nothing, a fresh clone has no database, and a tracker
may have been down. All that is logged stands in files, so it can be logged again.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.config import from_dict
from rcan.errors import UserError
from rcan.tracking.names import epoch_metrics, flatten, paper_tags, score_metrics
from rcan.tracking.tracker import Tracker, open_tracker

SECONDS = 300.0  # for one run: to catch up is the work here, also with a slow server


@dataclass(frozen=True)
class RunFolders:
    """Where one run's files lie, e.g. runs/main, data/evaluation/main and reports."""

    run: Path
    evaluation: Path | None = None
    reports: Path | None = None


def sync(*, root: Path, folders: Iterable[RunFolders]) -> int:
    """Create the runs that MLflow lacks and complete those it has; returns how many it now holds.

    Doing it twice changes nothing. A run that is not trained yet is passed over, and one that was
    trained but not evaluated comes without scores. `root` is where the database belongs; the
    files may lie elsewhere, as in an experiment's working copy.

    Raises:
        UserError: a file is there but cannot be read. An MLflow that is down raises nothing.
    """
    trackers: dict[str, Tracker] = {}
    held = 0
    for place in folders:
        if not (place.run / "best.json").is_file():
            continue
        config = flatten(from_dict(_read_json(place.run / "config.json")).used())
        data_name = str(config["data.name"])
        if data_name not in trackers:
            trackers[data_name] = open_tracker(root=root, data_name=data_name)
        _restore(trackers[data_name], place, config, data_name)
        held += trackers[data_name].guard.finish(SECONDS)
    return held


def _restore(tracker: Tracker, place: RunFolders, config: dict[str, Any], data_name: str) -> None:
    """Have one run brought up to its files."""
    best, history = _read_json(place.run / "best.json"), place.run / "history.csv"
    with history.open(newline="", encoding="utf-8") as file:
        epochs = [(int(row["epoch"]), epoch_metrics(row)) for row in csv.DictReader(file)]
    run = tracker.attach(
        key=best["key"],
        name=best["name"],
        params=config,
        tags={"seed": config["train.seed"], **paper_tags(data_name)},
    )
    run.log_epochs(epochs)
    run.log_files([place.run / "config.json", place.run / "best.json", history])
    run.log_dataset(data_name, best["data_digest"], "data/processed")
    if place.evaluation and (place.evaluation / "scores.json").is_file():
        scores = _read_json(place.evaluation / "scores.json")
        run.log_scores(score_metrics(scores))
        if tracker.local and not scores.get("restricted", True):  # both hold report text
            run.log_files([place.evaluation / n for n in ("scores.json", "predictions.csv")])
    if place.reports:
        run.log_files(sorted(place.reports.glob("*.*")), "reports")
    run.end("FINISHED")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return value
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path} ({error}); run `dvc repro` or `dvc checkout` to have it back"
        ) from error
