"""Rebuilding MLflow's runs from the files that are the result.

A stage that DVC restores from its cache logs nothing, a fresh clone has no database, and a tracker
may have been down. All that is logged stands in files, so it can be logged again.

Two tags are set meanwhile. Runs that others took the place of stay as outdated: the saved views
leave them out. And a run is given the names of DVC's experiments that trained it: of two that train
the same, the second runs no stage, so that none of it could give its run a name.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rcan.ablation.plan import MAIN
from rcan.errors import UserError
from rcan.evaluation.results import PREDICTIONS, SCORES, read_best, read_history, read_scores
from rcan.project import git_output
from rcan.tracking.folders import CELL_TAGS, REMEDY, RunFolders, read_config
from rcan.tracking.metrics import IF_THERE, NEEDED, epoch_metrics, paper_tags, score_metrics
from rcan.tracking.tracker import Run, Tracker, open_tracker

SECONDS = 300.0  # for one run: to catch up is the work here, also with a slow server
FILES = ("config.json", "best.json", "history.csv")
OF_BEST = ("key", "name", "data_digest")
OUTDATED = "outdated"
_DVC_EXP = "dvc.exp"
_LOCK = "dvc.lock"
_MODEL = re.compile(r"- path: runs/main\n(?: +(?!md5)\w+: .*\n)* +md5: (\S+)")
_REF = re.compile("refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>.+)")  # DVC's own lie elsewhere


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
        tags={
            "seed": config["train.seed"],
            **(paper_tags(config) if place.tags is None else place.tags),
        },
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


def mark_outdated(tracker: Tracker, restored: Mapping[str, Mapping[str, str] | None]) -> None:
    """Tag older runs of the settings of a restored one, by other code or data, as outdated; and
    let a cell with its seed be one run alone.

    Args:
        tracker: of a database of one's own: on a server, the others' runs are the others' affair.
        restored: keys of the runs whose files are here -> their tags of cells, None where not
            known.
    """
    runs = tracker.recorded()
    here = [run for run in runs if run.data.tags["rcan.key"] in restored]
    for run in runs:
        key, run_id = run.data.tags["rcan.key"], run.info.run_id
        if key in restored:
            tags = restored[key]
            wrong = {OUTDATED} | (set() if tags is None else set(CELL_TAGS) - set(tags))
        else:
            wrong = set(CELL_TAGS) if any(_same_cell(run, other) for other in here) else set()
            if any(_is_older(run, other) for other in here):
                tracker.client.set_tag(run_id, OUTDATED, "yes")
        for tag in wrong & set(run.data.tags):
            tracker.client.delete_tag(run_id, tag)


def _is_older(run: Any, other: Any) -> bool:
    old, new = ({"model.family": "rcan"} | one.data.params for one in (run, other))
    return bool(old == new and run.info.start_time < other.info.start_time)


def _same_cell(run: Any, other: Any) -> bool:
    cells, others = (set(one.data.tags.get("cell", "").split()) - {MAIN} for one in (run, other))
    return (
        bool(cells & others)
        and run.data.tags.get("seed") == other.data.tags.get("seed")
        and run.data.params.get("scale") == other.data.params.get("scale")
    )


def name_experiments(tracker: Tracker, root: Path) -> None:
    """Tag each run with all experiments of the repository at `root` that trained it, a blank
    between two names.

    Args:
        tracker: of a database of one's own: on a server others' experiments may have these names.
    """
    together = list(experiments(root).items())
    here, key = _trained(_text(root / _LOCK)), _key(root)
    for run in tracker.recorded() if together else ():
        tags = run.data.tags
        named = set(tags.get(_DVC_EXP, "").split())
        found = named.union(
            *(
                names
                for model, names in together
                if named & names or (model == here and tags["rcan.key"] == key)
            )
        )
        if found != named:
            tracker.client.set_tag(run.info.run_id, _DVC_EXP, " ".join(sorted(found)))


def experiments(root: Path) -> dict[str, set[str]]:
    """Digest of a trained model, as dvc.lock has it -> the experiments that end in it."""
    found: dict[str, set[str]] = defaultdict(set)
    for ref in git_output("for-each-ref", "--format=%(refname)", "refs/exps", folder=root).split():
        if match := _REF.fullmatch(ref):
            model = _trained(git_output("show", f"{ref}:{_LOCK}", folder=root))
            if model:
                found[model].add(match["name"])
    return found


def _trained(lock: str) -> str | None:
    """The digest of the main run's folder, by what DVC wrote of stage train."""
    found = _MODEL.search(lock.partition("\n  train:\n")[2])
    return found[1] if found else None


def _key(root: Path) -> str | None:
    try:
        best = read_best(root / "runs/main", "leave it", "key")
    except UserError:
        return None
    return str(best["key"])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
