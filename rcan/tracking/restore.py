"""Rebuilding MLflow's runs from the files that are the result.

A stage that DVC restores from its cache logs nothing, a fresh clone has no database, and a tracker
may have been down. All that is logged stands in files, so it can be logged again.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rcan.errors import UserError
from rcan.evaluation.results import PREDICTIONS, SCORES, read_best, read_history, read_scores
from rcan.tracking.dvc_experiments import name_experiments
from rcan.tracking.folders import REMEDY, RunFolders, read_config
from rcan.tracking.names import IF_THERE, NEEDED, epoch_metrics, paper_tags, score_metrics
from rcan.tracking.outdated import mark_outdated
from rcan.tracking.run import Run
from rcan.tracking.tracker import Tracker, open_tracker

SECONDS = 300.0  # for one run: to catch up is the work here, also with a slow server
FILES = ("config.json", "best.json", "history.csv")
OF_BEST = ("key", "name", "data_digest")


def sync(*, root: Path, folders: Iterable[RunFolders]) -> int:
    """Create the runs that MLflow lacks and complete those it has; returns how many it now holds.

    Doing it twice changes nothing. A run that is not trained yet is passed over, and one that was
    trained but not evaluated comes without scores. `root` is where the database belongs; the
    files may lie elsewhere, as in an experiment's working copy.

    Raises:
        UserError: a file is there but cannot be read. An MLflow that is down raises nothing.
    """
    trackers: dict[str, Tracker] = {}
    restored: dict[str, dict[str, Mapping[str, str] | None]] = {}
    held = 0
    for place in folders:
        if not (place.run / "best.json").is_file():
            continue
        config = read_config(place.run)
        data_name = str(config["data.name"])
        if data_name not in trackers:
            trackers[data_name] = open_tracker(root=root, data_name=data_name)
        key = _restore(trackers[data_name], place, config, data_name)
        others = restored.setdefault(data_name, {}).get(key)  # one training may lie in two folders
        known = place.tags is not None or others is not None
        restored[data_name][key] = {**(others or {}), **(place.tags or {})} if known else None
        held += trackers[data_name].guard.finish(SECONDS)
    for data_name, tracker in trackers.items():
        if tracker.local:
            tracker.guard.send(mark_outdated, tracker, restored[data_name])
            tracker.guard.send(name_experiments, tracker, root)
            tracker.guard.finish(SECONDS)
    return held


def _restore(tracker: Tracker, place: RunFolders, config: dict[str, Any], data_name: str) -> str:
    """Have one run brought up to its files; returns its key."""
    best = read_best(place.run, REMEDY, *OF_BEST)
    rows = read_history(place.run, REMEDY)
    scores, files = _evaluated(place.evaluation) if place.evaluation else ({}, [])
    run = tracker.attach(
        key=best["key"],
        name=best["name"],
        params=config,
        tags={"seed": config["train.seed"], **paper_tags(config), **(place.tags or {})},
    )
    if place.reading:  # what it changes is not always in the name of its settings
        run.rename(f"{place.reading}: {best['name']}")
    log_numbers(run, rows, scores)
    run.log_dataset(data_name, best["data_digest"], "data/processed")
    run.end("FINISHED")
    # Files come last: where MLflow has no place for them, it has all the rest.
    run.log_files([place.run / name for name in FILES])
    if scores and tracker.local and not scores["restricted"]:  # both hold report text
        run.log_files(files)
    if place.reports:
        pages = [path for path in sorted(place.reports.glob("*.*")) if path.is_file()]
        run.log_files(pages, "reports")
    return str(best["key"])


def _evaluated(folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """The scores and the files of an evaluation; nothing if there was none yet."""
    files = [folder / name for name in (SCORES, PREDICTIONS)]
    if not files[0].exists():
        return {}, []
    if not files[1].is_file():
        raise UserError(f"{files[1]}: expected predictions, found no file; {REMEDY}")
    return read_scores(files[0], REMEDY, NEEDED, IF_THERE), files


def log_numbers(run: Run, rows: Iterable[Mapping[str, str]], scores: Mapping[str, Any]) -> None:
    """The curves and the test scores of a run, as far as there are any."""
    run.log_epochs([(int(row["epoch"]), epoch_metrics(row)) for row in rows])
    if scores:
        run.log_scores(score_metrics(scores))
