"""A run of this project to a folder that can be handed on, see `rcan.sharing.exported_folder`."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.config import resolve
from rcan.errors import UserError
from rcan.evaluation.results import read_best, read_scores
from rcan.files import place_beside, sha256_of, write_json, write_text
from rcan.reading import parse_yaml, read_text
from rcan.sharing.card import model_card
from rcan.sharing.exported_folder import CARD, CONFIG, FORMAT, SCORES, TOKENIZER, WEIGHTS, sealed

_NEEDS = (
    "run", "data", "split", "restricted", "num_studies", "signature", "protocols.strict",
    "diagnostics.num_studies", "diagnostics.distinct_reports", "diagnostics.top_share",
    "diagnostics.copied_from_train",
)  # fmt: skip
# The only texts of scores.json that are handed on: each names something, none is a report's.
_NAMED = ("run", "data", "split", "model", "signature", "data_digest", "labeler", "floor",
          "chosen_on")  # fmt: skip
_DIGESTS = "references"  # by protocol: what other scores may be compared with
_TEXTS = "floors"  # the constant reports themselves: of training data


@dataclass(frozen=True)
class Exported:
    """What was written, and what should be said about it."""

    folder: Path
    name: str
    data: str
    run: str  # the training's key
    restricted: bool
    remarks: tuple[str, ...]


def export(
    root: Path, run: str, out: Path, *, force: bool = False, may_share: bool = False
) -> Exported:
    """Write the best model of `root`/runs/<run> to the folder `out`, whole or not at all.

    Raises `UserError` if the run is not whole, `out` is there and not to be replaced, or its data
    are restricted and it holds training reports, or nobody said that it may be shared.
    """
    from rcan.sharing.loading import load_model, tokenizer_of_run

    folder = root / "runs" / run
    _require_run(root / "runs", run)
    _require_place(out, force)
    loaded = load_model(folder)
    settings = loaded.settings
    best = read_best(folder, "run `dvc repro train`", "epoch", "key", "data_digest")
    scores, remarks = _scores(root / "data" / "evaluation" / run / "scores.json", best["key"])
    told = bool(scores and scores["restricted"])
    restricted = told or _is_restricted(root, settings.data.name, settings.scale)
    if settings.family.keeps_reports:
        if restricted:
            raise UserError(
                f"the weights of {settings.name} hold the training reports themselves, and "
                f"{settings.data.name} is restricted: no such model is handed on; export one of "
                "another family"
            )
        remarks.append(
            f"the weights of {settings.name} hold the training reports themselves: the terms of "
            f"{settings.data.name} hold for them"
        )
    if restricted and not may_share:
        raise UserError(
            f"{settings.data.name} is restricted, and the tokenizer's words and the weights are "
            "derived from it: add --i-may-share if your agreement lets you share them"
        )
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        shutil.copyfile(folder / "best.safetensors", beside / WEIGHTS)
        shutil.copyfile(tokenizer_of_run(folder), beside / TOKENIZER)
        config = sealed(
            {
                "format": FORMAT,
                "model_type": "rcan",
                "name": settings.name,
                "data": settings.data.name,
                "restricted": restricted,
                "epoch": best["epoch"],
                "length_penalty": best["length_penalty"],
                "settings": settings.of_the_model(),
                "sha256": {name: sha256_of(beside / name) for name in (WEIGHTS, TOKENIZER)},
                "trained": {"key": best["key"], "data_digest": best["data_digest"]},
            }
        )
        write_json(beside / CONFIG, config)
        if scores:
            write_json(beside / SCORES, numbers_of(scores))
        write_text(beside / CARD, model_card(config, settings, scores))
        if out.exists():
            shutil.rmtree(out)
        os.replace(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Exported(out, settings.name, settings.data.name, best["key"], restricted, tuple(remarks))


def numbers_of(scores: Mapping[str, Any]) -> dict[str, Any]:
    """scores.json without any report: numbers, and names of what was scored and how."""
    kept = _numbers({key: value for key, value in scores.items() if key not in (_TEXTS, _DIGESTS)})
    digests = {
        protocol: digest
        for protocol, digest in scores.get(_DIGESTS, {}).items()
        if re.fullmatch("[0-9a-f]{64}", str(digest))
    }
    return kept | ({_DIGESTS: digests} if digests else {})


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of an object: numbers, null where there is no score, and texts under known keys."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            kept[key] = _numbers(value)
        elif not isinstance(value, str | list) or (isinstance(value, str) and key in _NAMED):
            kept[key] = value
    return kept


def _require_run(runs: Path, run: str) -> None:
    folder = runs / run
    if run in ("", ".", "..") or Path(run).name != run or not (folder / "best.json").is_file():
        there = sorted(path.parent.name for path in runs.glob("*/best.safetensors"))
        known = (
            f"there are {', '.join(there)}" if there else "there is none: `dvc repro` trains one"
        )
        raise UserError(f"expected the name of a run in runs/, got {run!r}; {known}")


def _require_place(out: Path, force: bool) -> None:
    """Only what looks like an exported model is ever replaced, and only when asked for."""
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise UserError(f"{out}: expected a folder to write, found something else; name another")
    if not any(out.iterdir()):
        return
    if not (out / CONFIG).is_file() or not (out / WEIGHTS).is_file():
        raise UserError(f"{out}: it holds something else than an exported model; name another")
    if not force:
        raise UserError(f"{out} holds an exported model; replace it by --force, or name another")


def _scores(path: Path, key: str) -> tuple[dict[str, Any] | None, list[str]]:
    if not path.exists():
        return None, [f"no scores go with it: {path} is not there; `dvc repro` writes it"]
    scores = read_scores(path, "run `dvc repro evaluate`", _NEEDS)
    if scores["run"] != key:
        return None, ["no scores go with it: those there are another training's; run `dvc repro`"]
    return scores, []


def _is_restricted(root: Path, data: str, scale: str) -> bool:
    """What params.yaml says of the data set that the model was trained on, in use there or not."""
    path = root / "params.yaml"
    text = read_text(path, "settings", "mend it, or have it back by `git checkout params.yaml`")
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}; mend it") from None
    if isinstance(raw, dict) and isinstance(raw.get("data"), dict):
        raw = {**raw, "scale": scale, "data": {**raw["data"], "name": data}}
    try:
        return bool(resolve(raw).privacy.restricted)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
