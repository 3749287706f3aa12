"""What the runs of all cells left: read, checked to belong together, and gathered by cell.

A run is a cell with a seed. Its plan holds its settings, or points to the run that stands for it;
a run without results is missing, and so is one whose results are of other settings than planned.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.ablation.cells import CONTROLS, NO_LABELS
from rcan.ablation.plan import CODE, NOT_RUN
from rcan.dotted import flatten
from rcan.errors import UserError, name_shown
from rcan.evaluation.results import (
    SCORES,
    read_best,
    read_config,
    read_counts,
    read_history,
    read_scores,
)
from rcan.evaluation.schema import TEXTLESS
from rcan.evaluation.scores import METRICS, Scores
from rcan.reading import Shape, read_json, require_shape

MAIN = "main"
UNLABELLED = "no labels"
_PLAN = "run `dvc repro ablations/dvc.yaml:plan`"
_TRAIN = "train it again: `dvc repro`, for a cell `dvc repro ablations/dvc.yaml`"
_EVALUATE = "run the evaluation again: `dvc repro`, for a cell `dvc repro ablations/dvc.yaml`"
_NAME = re.compile(r"([a-z0-9_.]+)-([0-9]+)\.json")
_POINTER: Shape = {"same_as": str}


@dataclass(frozen=True)
class Result:
    """What one training and its evaluation left."""

    place: str  # the folder's name, under runs and under evaluations
    scores: dict[str, Any]
    config: dict[str, Any]
    best: dict[str, Any]
    counts: dict[str, Scores]  # by protocol
    seconds_an_image: float | None  # all epochs' sum, validation not counted, if it is published


@dataclass(frozen=True)
class Run:
    """One cell under one seed; `result` is None where it is still to be run."""

    cell: str
    seed: int
    place: str
    settings: Mapping[str, Any] | None  # None: it points to another run
    result: Result | None
    why_missing: str = ""

    left_out: str = ""  # why it cannot be run on these data

    @property
    def name(self) -> str:
        return f"{self.cell}-{self.seed}"


@dataclass(frozen=True)
class Model:
    """One cell under all its seeds."""

    cell: str
    runs: tuple[Run, ...]

    @property
    def results(self) -> list[Result]:
        return [run.result for run in self.runs if run.result]

    @property
    def seeds(self) -> str:
        """`1 seed`, `3 seeds`, or how many of them are there."""
        have, of = len(self.done), len(self.runs)
        told = f"{have} of {of}" if have < of else f"{have}"
        return f"{told} seed{'s' if of > 1 else ''}"

    @property
    def not_run(self) -> str:
        """What a row without results says."""
        if not self.runs:
            return "not in `ablations/cells.yaml`"
        why = next((run.left_out for run in self.runs if run.left_out), "")
        return f"not run: {why}" if why else self.missing

    @property
    def missing(self) -> str:
        """What stands in the place of a score."""
        unlabelled = any(run.why_missing == UNLABELLED for run in self.runs)
        return UNLABELLED if unlabelled else "not run"

    @property
    def done(self) -> list[Run]:
        return [run for run in self.runs if run.result]


def read_models(
    plan: Path, runs: Path, evaluations: Path, main: Mapping[str, Any]
) -> dict[str, Model]:
    """Every planned cell, and the controls that are no cell, with the results they have so far;
    `main`: the settings of the main run.

    Raises:
        UserError: no plan, a pointer to nowhere, or results that are damaged.
    """
    planned = dict(_read_plan(plan))
    results: dict[str, Result | None] = {}
    found: dict[str, list[Run]] = {}
    for (cell, seed), settings in sorted(planned.items()):
        name = f"{cell}-{seed}"
        place = settings.get("same_as", name)
        of_place = main if place == MAIN else planned.get(_split(place))
        if of_place is None or "same_as" in of_place:
            raise UserError(
                f"{plan / name}.json: expected same_as to name main or a run with settings of its"
                f" own, found {name_shown(place)}; {_PLAN}"
            )
        not_run = str(of_place.get(NOT_RUN, ""))
        if place not in results:
            folders = runs / place, evaluations / place
            results[place] = None if not_run else _read_result(place, *folders)
        result, other = results[place], ""
        if result and (other := _other_settings(of_place, result.config)):
            result = None
        why = f"what lies in {runs / place} has another {other}" if other else not_run
        own = None if "same_as" in settings else {k: v for k, v in settings.items() if k != NOT_RUN}
        found.setdefault(cell, []).append(Run(cell, seed, place, own, result, why, not_run))
    for control, seeds in CONTROLS.items():
        found[control] = [_control(control, seed, runs, evaluations) for seed in seeds]
    return {cell: Model(cell, tuple(of_cell)) for cell, of_cell in found.items()}


def _control(name: str, seed: int, runs: Path, evaluations: Path) -> Run:
    place = f"{name}-{seed}"
    folders = runs / place, evaluations / place
    if (evaluations / place / NO_LABELS).is_file():
        return Run(name, seed, place, {}, None, UNLABELLED)
    return Run(name, seed, place, {}, _read_result(place, *folders, _read_fitted))


def _read_fitted(run: Path, remedy: str) -> dict[str, Any]:
    """The settings of a control, as far as they are told of."""
    config: dict[str, Any] = read_json(run / "config.json", {"scale": str}, "settings", remedy)
    return config


def _read_plan(plan: Path) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    paths = sorted(plan.glob("*.json"))
    if not paths:
        raise UserError(f"{plan}: expected the plan of each cell, found none; {_PLAN}")
    for path in paths:
        name = _NAME.fullmatch(path.name)
        if not name:
            raise UserError(f"{path}: expected a name like rve_cgm-1.json; {_PLAN}")
        settings = read_json(path, dict, "the plan of a cell", _PLAN)
        if "same_as" in settings:
            require_shape(settings, _POINTER, f"{path}", _PLAN)
        settings.pop(CODE, None)  # by which a change of it is noticed
        yield (name[1], int(name[2])), settings


def _split(name: str) -> tuple[str, int]:
    cell, _, seed = name.rpartition("-")
    return cell, int(seed) if seed.isdecimal() else -1


def _read_result(
    place: str, run: Path, evaluation: Path,
    settings: Callable[[Path, str], dict[str, Any]] = read_config,
) -> Result | None:  # fmt: skip
    """None where the run is not trained, or not yet evaluated."""
    if not run.is_dir() or not evaluation.is_dir():
        return None
    path = evaluation / SCORES
    scores = read_scores(path, _EVALUATE, TEXTLESS)
    counts = read_counts(evaluation, scores)
    for protocol, of_protocol in counts.items():
        told = scores["protocols"][protocol]["model"]
        if any(abs(told[m]["score"] - of_protocol.corpus[m]) > 1e-6 for m in METRICS):
            raise UserError(
                f"{path}: expected the scores that the counts beside it give, found others under"
                f" protocol {protocol}; {_EVALUATE}"
            )
    return Result(
        place=place,
        scores=scores,
        config=settings(run, _TRAIN),
        best=read_best(run, _TRAIN, "epoch", "key", "data_digest"),
        counts=counts,
        seconds_an_image=_seconds_an_image(run),
    )


def _seconds_an_image(run: Path) -> float | None:
    if not (run / "history.csv").is_file():
        return None
    speeds = [row.get("images_per_second") for row in read_history(run, _TRAIN)]
    return sum(1 / float(speed) for speed in speeds if speed) if all(speeds) else None


def _other_settings(planned: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The first setting in which a run differs from its plan; empty if it was run as planned."""
    have = flatten(config)
    for key, value in flatten(planned).items():
        if key == "visual.weights":  # kept without the folder that they lie in
            value = Path(str(value)).name
        if key in have and have[key] != value:
            return key
    return ""
