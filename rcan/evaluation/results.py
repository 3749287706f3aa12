"""Reading and writing what an evaluation and the training before it leave, in one place.

`rcan.evaluation.schema` says what the files hold. What was read is handed on as it stands: plain
objects, lists and numbers.

counts.npz holds what a bootstrap needs of each study, so that runs are compared later without Java:
numbers and no text, under each protocol the counts of BLEU, ROUGE-L and the counts of METEOR.
scores.json beside it holds the digests of the references that were scored against.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from rcan.errors import UserError
from rcan.evaluation import bleu, meteor
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.schema import BestFile, MetricsFile, ScoresFile, require
from rcan.evaluation.scores import Scores, scores_from_counts, signature
from rcan.files import replacing, write_json
from rcan.reading import Shape, parse_json, read_csv, read_json, require_file, require_shape

SCORES = "scores.json"
PREDICTIONS = "predictions.csv"
COUNTS = "counts.npz"
_AGAIN = "run the evaluation again"
_OF_COUNTS = {"bleu": (bleu.NUM_COUNTS,), "rouge": (), "meteor": (meteor.NUM_COUNTS,)}
_CONFIG: dict[str, Shape] = {
    "scale": str,
    "data": {"name": str},
    "visual": {"backbone": str, "last_layer": str, "weights": str, "frozen": bool, "crop": int},
    "model": {"d_model": int},
}
_OF_RCAN = dict.fromkeys(("num_encoder_layers", "num_decoder_layers", "num_heads"), int)
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


def scores_of_run(
    result: Mapping[str, Any], best: Mapping[str, Any], *, data: str, restricted: bool,
    num_studies: int, model: str, seed: int, beam_size: int,
) -> dict[str, Any]:  # fmt: skip
    """What scores.json holds of the run of `best` (best.json) that has this `result` on test."""
    return {
        "data": data,
        "split": "test",
        "restricted": restricted,
        "num_studies": num_studies,
        "data_digest": best["data_digest"],
        "run": best["key"],
        "model": model,
        "seed": seed,
        "epoch": best["epoch"],
        "beam_size": beam_size,
        "length_penalty": best["length_penalty"],
        "signature": signature(),
        **result,
    }


def write_scores(path: Path, scores: Mapping[str, Any]) -> None:
    """Write scores.json, whole as `ScoresFile` has it."""
    require(ScoresFile, scores, str(path), "mend rcan.evaluation")
    write_json(path, scores)


def write_metrics(path: Path, scores: Mapping[str, Any]) -> None:
    """Write metrics.json, as `MetricsFile` has it, of what scores.json holds."""
    strict = scores["protocols"]["strict"]
    systems = {"test": strict["model"], "floor": strict["floors"]["best_constant"]}
    fall = scores["controls"]["image_swap"]["strict"]["fall"]["BLEU-4"]["difference"]
    short: dict[str, Any] = {
        **{
            name: {metric: round(value["score"], 4) for metric, value in system.items()}
            for name, system in systems.items()
        },
        "distinct": scores["diagnostics"]["distinct_reports"],
        "fall": round(fall, 4),
    }
    if "findings" in scores:
        f1 = scores["findings"]["model"]["macro"]["f1"]["score"]
        short["finding_f1"] = None if f1 is None else round(f1, 4)
    require(MetricsFile, short, str(path), "mend rcan.evaluation")
    write_json(path, short)


def parse_metrics(text: str, place: str, remedy: str) -> dict[str, float]:
    """The test scores of a metrics.json's text, found at `place`.

    Raises:
        UserError: it is damaged, or lacks them.
    """
    metrics = parse_json(text, dict, place, "scores", remedy)
    require(MetricsFile, metrics, place, remedy, ["test"])
    return dict(metrics["test"])


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
    path = run / "config.json"
    config: dict[str, Any] = read_json(path, _CONFIG, "settings", remedy)
    if is_rcan(config["model"]):
        require_shape(config["model"], _OF_RCAN, f"{path}, model", remedy)
    return config


def is_rcan(model: Mapping[str, Any]) -> bool:
    """Whether section `model` of a config.json is of family rcan, as all were before families."""
    return bool(model.get("family", "rcan") == "rcan")


def read_history(run: Path, remedy: str) -> list[dict[str, str]]:
    """The history.csv of a run, a row an epoch."""
    columns = {"epoch": int}
    return read_csv(run / "history.csv", columns, "a row an epoch", remedy, rest=float)


def read_predictions(path: Path) -> list[dict[str, str]]:
    """The rows of predictions.csv."""
    return read_csv(path, _COLUMNS, "predictions", _EVALUATE)


def write_counts(folder: Path, scores: Mapping[str, Scores]) -> None:
    """Write the counts of a model, protocol -> scores, METEOR's among them."""
    arrays: dict[str, Any] = {}
    for protocol, found in scores.items():
        arrays[f"{protocol}_bleu"] = found.bleu_counts
        arrays[f"{protocol}_rouge"] = found.studies["ROUGE-L"]
        arrays[f"{protocol}_meteor"] = found.meteor_counts
    with replacing(folder / COUNTS) as beside, ZipFile(beside, "w") as file:
        for name, values in arrays.items():
            content = BytesIO()
            np.save(content, values, allow_pickle=False)
            # Not by numpy.savez: its headers in the zip differ between Python 3.11.2 and 3.11.7.
            file.writestr(ZipInfo(f"{name}.npy"), content.getvalue(), ZIP_DEFLATED)


def read_counts(folder: Path, scores: Mapping[str, Any]) -> dict[str, Scores]:
    """The model's scores under each protocol, as they were before they became scores.json.

    Args:
        folder: holds counts.npz.
        scores: what the scores.json beside it holds.

    Raises:
        UserError: the file is missing or damaged, or the two do not belong together.
    """
    place, needs = str(folder / SCORES), ("num_studies", "references")
    require(ScoresFile, scores, place, _AGAIN, needs)
    arrays = _read_counts(folder / COUNTS, scores["num_studies"])
    found = {}
    for protocol in PROTOCOLS:
        of_bleu, of_rouge, of_meteor = (arrays[f"{protocol}_{kind}"] for kind in _OF_COUNTS)
        found[protocol] = scores_from_counts(
            of_bleu, of_rouge, of_meteor, scores["references"][protocol]
        )
    return found


def _read_counts(path: Path, num_studies: int) -> dict[str, np.ndarray]:
    try:
        require_file(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {
                f"{protocol}_{kind}": held[f"{protocol}_{kind}"]
                for protocol in PROTOCOLS
                for kind in _OF_COUNTS
            }
    except Exception as error:  # of many kinds: no zip, a part that is missing, cut, an object
        raise UserError(
            f"{path}: expected the counts of each study ({type(error).__name__}); {_AGAIN}"
        ) from error
    for name, array in arrays.items():
        wanted = (num_studies, *_OF_COUNTS[name.split("_")[1]])
        if array.shape != wanted or array.dtype not in (np.int64, np.float64):
            raise UserError(
                f"{path}, {name}: expected {wanted} numbers, found {array.dtype} {array.shape};"
                f" {_AGAIN}"
            )
        if not (np.isfinite(array).all() and (array >= 0).all() and (array <= 1e9).all()):
            raise UserError(f"{path}, {name}: expected counts, found other numbers; {_AGAIN}")
    return arrays
