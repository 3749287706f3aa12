"""The numbers of every evaluated run without a word of a report, to be shared or committed.

`python -m pipeline.publish FOLDER` writes FOLDER/<run> with scores.json, counts.npz (what
paired tests need of each study), best.json, config.json and history.csv, for `rcan compare`. The
history gets the speed of each epoch if MLflow knows it, for tables to tell of minutes.
`... --back FOLDER` puts them where `python -m pipeline.tables` reads, beside what is there, for
tables of published and of own cells without training the published ones again. Beside the runs
lie the counts of both floors and, with each, ReXrank's BLEU-2: for `rcan score --beside`.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.stage import EVALUATIONS, FLOORS, PROCESSED, RUNS, run
from rcan.config import PipelineSettings
from rcan.data.store import read_summary
from rcan.errors import UserError
from rcan.evaluation.results import COUNTS, SCORES, read_best, read_history, read_scores
from rcan.files import place_beside, write_csv, write_json, write_text
from rcan.project import project_root
from rcan.scoring import rexrank
from rcan.sharing.export import numbers_of

BACK = "--back"
OF_THE_RUN = ("best.json", "config.json", "history.csv")
SPEED = "images_per_second"
_MLFLOW_SECONDS = 300.0  # that it may take to answer
_REMEDY = "run its evaluation again"


def main(settings: PipelineSettings) -> None:
    """Write the runs to a folder, or with --back put them beside one's own.

    Raises:
        UserError: not one folder is named, it is there already, no run is evaluated, or (--back)
            the folder holds no published runs.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != BACK]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError("expected one folder: `python -m pipeline.publish [--back] FOLDER`")
    out = Path(arguments[0])
    if BACK in sys.argv:
        _put_back(out)
        return
    if out.exists():
        raise UserError(f"{out} is there already: remove it, or name another folder")
    scores = {path.parent.name: read_scores(path, _REMEDY, ["data_digest"])
              for path in sorted(EVALUATIONS.glob(f"*/{SCORES}"))}  # fmt: skip
    digest = read_summary(PROCESSED)["digest"] if PROCESSED.exists() else None
    names = [name for name, of in scores.items() if digest in (None, of["data_digest"])]
    if not names:
        raise UserError(
            f"no run on these data is evaluated in {EVALUATIONS}: `dvc repro` does that"
        )
    if others := len(scores) - len(names):
        print(f"{others} run(s) left out, of other data than {PROCESSED} holds")
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    speeds = _speeds(settings)
    for name in names:
        short = json.dumps(numbers_of(scores[name]), ensure_ascii=False, separators=(",", ":"))
        write_text(beside / name / "scores.json", short + "\n")
        shutil.copy(EVALUATIONS / name / COUNTS, beside / name)
        for file in OF_THE_RUN:
            shutil.copy(RUNS / name / file, beside / name)
        _write_history(beside / name, speeds)
    if FLOORS.is_file():
        _write_floors(beside)
        _write_rexrank(beside, settings)
    else:
        print(f"no {FLOORS} here: `rcan score --beside` will know no floor of these runs")
    beside.replace(out)
    print(f"{len(names)} runs in {out}")


def _speeds(settings: PipelineSettings) -> dict[str, dict[int, float]]:
    """Key -> epoch -> images a second in training, of the runs that MLflow saw train."""
    from rcan.tracking import open_tracker
    from rcan.tracking.metrics import EPOCH_METRICS

    tracker = open_tracker(root=project_root(), data_name=settings.data.name)
    found: dict[str, dict[int, float]] = {}
    tracker.guard.send(lambda: found.update(tracker.curves(EPOCH_METRICS[SPEED])))
    tracker.guard.finish(_MLFLOW_SECONDS)
    return found


def _write_history(run: Path, speeds: Mapping[str, Mapping[int, float]]) -> None:
    """Put the speed of each epoch into a run's history, where all are known."""
    best = read_best(run, _REMEDY, "key")
    rows, of_run = read_history(run, _REMEDY), speeds.get(best["key"], {})
    if all(int(row["epoch"]) in of_run for row in rows):
        told = [{**row, SPEED: f"{of_run[int(row['epoch'])]:.1f}"} for row in rows]
        write_csv(run / "history.csv", told)


def _write_floors(out: Path) -> None:
    """The counts of both floors, under each protocol."""
    from pipeline.tables import floor_scores
    from rcan.evaluation.results import write_counts

    scores = floor_scores()
    for floor in scores["strict"]:
        write_counts(out / floor, {protocol: of[floor] for protocol, of in scores.items()})


def _write_rexrank(out: Path, settings: PipelineSettings) -> None:
    from pipeline.tables import rexrank_scores

    for name, score in rexrank_scores(settings).items():
        if (out / name).is_dir():
            write_json(out / name / rexrank.FILE, {"BLEU-2": score})


def _put_back(published: Path) -> None:
    places = {
        **dict.fromkeys(OF_THE_RUN, RUNS),
        **dict.fromkeys(("scores.json", COUNTS), EVALUATIONS),
    }
    names = sorted(path.parent.name for path in published.glob("*/scores.json"))
    if not names:
        raise UserError(f"{published}: expected published runs, found none; name their folder")
    done = [name for name in names if not (RUNS / name).exists()]
    for name in done:
        for file, place in places.items():
            (place / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(published / name / file, place / name)
        if (score := published / name / rexrank.FILE).is_file():
            shutil.copy(score, EVALUATIONS / name)
    print(f"{len(done)} runs put back, {len(names) - len(done)} left as they are")


if __name__ == "__main__":
    run(main)
