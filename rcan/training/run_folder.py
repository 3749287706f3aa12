"""The folder that a training leaves behind: weights, settings and numbers, all readable.

best.safetensors, last.safetensors: weights of the best and of the last epoch. config.json: the
settings, resolved. history.csv: a row an epoch. best.json: the best epoch's numbers, the length
penalty that validation chose, the digests of what was trained on, the number of parameters, and
the kind of processor.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rcan.config import Settings, from_dict
from rcan.data.store import read_summary
from rcan.errors import UserError
from rcan.files import place_beside, sha256_of, write_csv, write_json
from rcan.model.build import build_model
from rcan.model.interface import Knowledge, ReportModel
from rcan.reading import Shape, read_json
from rcan.training.checkpoint import read_tensors, require_fit, with_prefix, write_tensors
from rcan.training.devices import compute_as
from rcan.training.key import Progress

_BEST: Shape = {"epoch": int, "length_penalty": float}
_EARLIER = re.compile(r"^(cnn|standardize|adapter|rve|patches)\.")  # before families of models
_REMEDY = "run `dvc repro train`, or `dvc checkout` to have it back"


def write_run(
    out: Path, *, best: Path, model: ReportModel, progress: Progress, settings: Settings,
    facts: Mapping[str, str | int],
) -> None:  # fmt: skip
    """Write the folder beside `out` and rename it; `best` is the file of the best weights."""
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        shutil.copyfile(best, beside / "best.safetensors")
        write_tensors(beside / "last.safetensors", model.state_dict())
        write_json(beside / "config.json", settings.of_the_model())
        columns = dict.fromkeys(name for row in progress.history for name in row)
        write_csv(
            beside / "history.csv",
            [{name: row.get(name) for name in columns} for row in progress.history],
        )
        write_json(
            beside / "best.json",
            {
                "name": settings.name,
                "trained_on": " and ".join(progress.trained_on),
                **facts,
                **(progress.best or {}),
            },
        )
        shutil.rmtree(out, ignore_errors=True)
        os.replace(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load_run(folder: Path, vocabulary_size: int) -> tuple[ReportModel, Settings, dict[str, Any]]:
    """The best model, in evaluation mode and on a GPU if there is one, its settings and best.json.

    Raises `UserError` if the folder is not a whole run, or of another vocabulary.
    """
    best = read_json(folder / "best.json", _BEST, "the best epoch of a whole run", _REMEDY)
    path = folder / "config.json"
    config = read_json(path, dict, "the settings of a whole run", _REMEDY)
    try:
        settings = from_dict(config)
    except UserError as error:
        raise UserError(f"{path}: {error}; {_REMEDY}") from None
    weights = folder / "best.safetensors"
    return load_weights(weights, settings, vocabulary_size, _REMEDY), settings, best


def load_weights(path: Path, settings: Settings, vocabulary_size: int, remedy: str) -> ReportModel:
    """The model of a file of weights, in evaluation mode and on a GPU if there is one.

    Raises `UserError` that ends with the remedy if the file is damaged or another model's.
    """
    weights, _ = read_tensors(path, remedy)
    if not any(name.startswith("visual.") for name in weights):
        weights = {_EARLIER.sub(r"visual.\1.", name): tensor for name, tensor in weights.items()}
    knowledge = Knowledge(kept=with_prefix(weights, "tables."))
    with torch.device("meta"):  # sizes without memory, should the settings be another model's
        model = build_model(settings, vocabulary_size, knowledge, pretrained=False)
        require_fit(model, weights, path)
    model = build_model(settings, vocabulary_size, knowledge, pretrained=False)
    model.load_state_dict(weights)
    compute_as(settings.train)
    on_gpu = settings.train.accelerator != "cpu" and torch.cuda.is_available()
    return model.eval().to("cuda" if on_gpu else "cpu")


def require_same_inputs(best: Mapping[str, Any], *, processed: Path, tokenizer: Path) -> None:
    """Raise `UserError` unless the run of `best` was trained on this data and this tokenizer."""
    for fact, path, digest in (
        ("data_digest", processed, read_summary(processed)["digest"]),
        ("tokenizer_digest", tokenizer, sha256_of(tokenizer)),
    ):
        if best.get(fact) != digest:
            raise UserError(
                f"{path}: expected what the run was trained on, with the {fact} of best.json, "
                f"{best.get(fact)}; got {digest}; run `dvc repro train`"
            )
