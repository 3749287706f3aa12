"""A run to compare: an evaluation's folder with its counts, or predictions beside references."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rcan.dotted import flatten
from rcan.errors import UserError, name_shown
from rcan.evaluation.diagnostics import diagnostics
from rcan.evaluation.results import COUNTS, PREDICTIONS, SCORES, read_counts, read_scores
from rcan.evaluation.scores import Scores
from rcan.reading import read_json
from rcan.scoring.references import Cleaner, matched, read_ground
from rcan.scoring.texts import has_both_sides, read_texts

_REMEDY = "run its evaluation again, or name another run"
_NEEDS = (
    "num_studies", "diagnostics.num_studies", "diagnostics.distinct_reports",
    "diagnostics.top_share",
)  # fmt: skip
# What scores.json says of how a run was made.
FACTS = (
    "model", "seed", "epoch", "beam_size", "length_penalty", "data_digest", "signature", "text",
    "min_freq", "max_length",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What is known of one run. Without `counts` there are `predictions`, in the references' order.

    `settings`: dotted key -> value; `falls`: protocol -> metric -> how far scores fall when every
    study gets another one's report; `diagnostics`: as of rcan.evaluation.diagnostics.
    """

    name: str
    data: str | None
    settings: dict[str, Any]
    diagnostics: Mapping[str, float]
    counts: dict[str, Scores] = field(default_factory=dict)
    falls: Mapping[str, Any] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


def find_run(name: str, root: Path | None) -> Path:
    """The folder or file that a run's name means: data/evaluation/<name> of a project, or a path.

    Raises:
        UserError: it is neither.
    """
    if root and name and "/" not in name and (kept := root / "data/evaluation" / name).is_dir():
        pointer = kept / "same_as.json"
        if pointer.is_file():  # one training with another cell: its results lie there
            held = read_json(pointer, {"same_as": str}, "the name of a run", _REMEDY)
            return root / "data/evaluation" / Path(held["same_as"]).name
        return kept
    if name and Path(name).exists():
        return Path(name)
    known = (
        sorted(path.parent.name for path in root.glob(f"data/evaluation/*/{SCORES}"))
        if root
        else []
    )
    hint = f"evaluated are {', '.join(known[:12])}" if known else "no run is evaluated here yet"
    if name == "main":
        hint += "; `dvc repro` trains and scores main"
    raise UserError(
        f"{name_shown(name)}: expected an evaluated run, a folder with scores.json or a table of"
        f" predictions; {hint}"
    )


def read_run(name: str, path: Path, cleaner: Cleaner) -> Run:
    """Read what a run left.

    Raises:
        UserError: something is missing or damaged.
    """
    if path.is_file():
        return _of_predictions(name, path, cleaner)
    scores = read_scores(path / SCORES, _REMEDY, _NEEDS)
    settings = {key: scores[key] for key in FACTS if key in scores} | _config(path)
    if not (path / COUNTS).exists():
        if not (path / PREDICTIONS).exists():
            raise UserError(f"{path}: expected {COUNTS} or {PREDICTIONS}; {_REMEDY}")
        found = _of_predictions(name, path / PREDICTIONS, cleaner)
        return Run(**{**vars(found), "data": scores.get("data"), "settings": settings})
    return Run(
        name=name,
        data=scores.get("data"),
        settings=settings,
        diagnostics=scores["diagnostics"],
        counts=read_counts(path, scores),
        falls=_falls(scores),
    )


def as_predictions(run: Run, path: Path, cleaner: Cleaner) -> Run:
    """A run with counts as its predictions, to be compared with one that has nothing else.

    Raises:
        UserError: its predictions are missing or damaged.
    """
    file = path / PREDICTIONS
    if not file.is_file():
        raise UserError(f"{file}: expected predictions, for the other run has no counts; {_REMEDY}")
    found = _of_predictions(run.name, file, cleaner)
    return Run(**{**vars(found), "data": run.data, "settings": run.settings})


def _of_predictions(name: str, path: Path, cleaner: Cleaner) -> Run:
    if not has_both_sides(path):
        raise UserError(
            f"{path}: expected a table with the columns id, reference and prediction; for"
            " predictions and references in two files, use `rcan score --against`"
        )
    ground = read_ground(
        read_texts(path, "references", tell=cleaner.tells_ids), cleaner, train=None, val=None
    )
    predictions = matched(read_texts(path, "predictions", tell=cleaner.tells_ids), ground, cleaner)
    return Run(
        name=name,
        data=None,
        settings={},
        diagnostics=diagnostics(predictions, ground.references, ()),
        ids=ground.ids,
        predictions=predictions,
        references=ground.references,
    )


def _config(evaluation: Path) -> dict[str, Any]:
    """The settings of the training, if the folder is one of a project's evaluations."""
    folder = evaluation.resolve()
    path = folder.parents[2] / "runs" / folder.name / "config.json"
    if folder.parent.name != "evaluation" or not path.is_file():
        return {}
    return {"model.family": "rcan"} | flatten(read_json(path, dict, "settings", _REMEDY))


def _falls(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Older evaluations tell of no image swap."""
    swapped = scores.get("controls", {}).get("image_swap", {})
    return {protocol: found["fall"] for protocol, found in swapped.items() if "fall" in found}
