"""A model ready to write reports, from an exported folder or from a run of this project."""

from dataclasses import dataclass
from pathlib import Path

from rcan.ablation.cells import CONTROLS, cell_of
from rcan.config import Settings
from rcan.errors import UserError
from rcan.files import sha256_of
from rcan.model.interface import ReportModel
from rcan.sharing import exported_folder as exported
from rcan.streams import escaped
from rcan.text.tokenizer import Tokenizer
from rcan.training.run_folder import load_run, load_weights


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode, on a GPU if there is one, and all that generation needs."""

    model: ReportModel
    words: Tokenizer
    settings: Settings
    length_penalty: float
    name: str  # `RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1`


def load_model(folder: Path) -> Loaded:
    """The model of `folder`: one by `rcan export`, or runs/<name>, with its own tokenizer.

    Raises `UserError` if the folder is neither, not whole, or its files are not of one model.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: expected a model's folder, found none; name one by --model, or train one "
            "by `dvc repro`"
        )
    if escaped(str(folder)) != str(folder):
        raise UserError(
            f"{folder}: expected a folder whose name is UTF-8, for safetensors opens no other;"
            " rename it"
        )
    if (folder / "best.json").exists():
        _require_weights(folder)
        return _of_a_run(folder)
    if not (folder / exported.CONFIG).exists():
        raise UserError(
            f"{folder}: expected an exported model or a run of this project, found no "
            f"{exported.CONFIG} in it; name another folder by --model"
        )
    return _of_an_export(folder)


def _require_weights(run: Path) -> None:
    """Raise `UserError` if the folder of a run is a control's, which is no trained model."""
    if cell_of(run.absolute().name) in CONTROLS and not (run / "best.safetensors").exists():
        raise UserError(f"{run}: expected a trained model, found a control, which has no weights")


def tokenizer_of_run(run: Path) -> Path:
    """Where the tokenizer of runs/<name> lies, be the run a link into a cache or not."""
    return run.absolute().parents[1] / "data" / "tokenizer.json"


def _of_a_run(folder: Path) -> Loaded:
    path = tokenizer_of_run(folder)
    words = Tokenizer.load(path)
    model, settings, best = load_run(folder, len(words))
    if best.get("tokenizer_digest") != sha256_of(path):
        raise UserError(
            f"{path}: expected the tokenizer that {folder} was trained with, found another; run "
            "`dvc repro train`, or `dvc checkout` to have it back"
        )
    return Loaded(model, words, settings, best["length_penalty"], settings.name)


def _of_an_export(folder: Path) -> Loaded:
    config, settings = exported.read_exported(folder)
    words = Tokenizer.load(folder / exported.TOKENIZER)
    model = load_weights(folder / exported.WEIGHTS, settings, len(words), exported.REMEDY)
    return Loaded(model, words, settings, config["length_penalty"], settings.name)
