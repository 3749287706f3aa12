"""One training from processed data to a folder of weights and numbers."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from rcan.config import Settings
from rcan.data.batches import StudyBatches
from rcan.data.knowledge import learn
from rcan.data.store import Split, open_split
from rcan.errors import UserError
from rcan.evaluation.bleu import bleu, bleu_of_constant
from rcan.evaluation.diagnostics import diagnostics, is_collapsed
from rcan.evaluation.kept_floors import read_floors
from rcan.generation.generate import write_reports
from rcan.model.build import build_model, num_parameters
from rcan.model.interface import NOTHING, Knowledge, ReportModel
from rcan.model.visual.extractor import VisualExtractor
from rcan.text.tokenizer import Tokenizer
from rcan.training.checkpoint import TrainingState
from rcan.training.devices import devices_of, launch, require_bf16, seed_epoch
from rcan.training.inputs import study_batches
from rcan.training.key import (
    CURRICULUM,
    POLICY_GRADIENT,
    SELECTION,
    has_state,
    kept_parts,
    state_folder,
    training_key,
    why_afresh,
)
from rcan.training.loop import Lessons, Log, Rewarded, fit
from rcan.training.run_folder import write_run


def train(
    settings: Settings, *, processed: Path, tokenizer: Path, floors: Path, out: Path | None,
    root: Path, log_to: Callable[[str], Log], base: Path | None = None, restricted: bool = False,
) -> None:  # fmt: skip
    """Train, or go on training, and write `out` whole: weights of the best and the last epoch
    (.safetensors), config.json, history.csv, best.json. With `out` None the state is all.

    The state is kept in `root`/.rcan/checkpoints/<key> until `key.forget_training`: killed
    before DVC has saved `out`, the same training only writes it again. `log_to(key)` gives what
    every epoch's numbers are handed to. `base`: the best weights of `settings.base()`, for a
    curriculum alone. `restricted`: reports must not go with the weights, which leave the machine.
    Raises `UserError` for whatever the user can mend.
    """
    if restricted and settings.family.keeps_reports:
        raise UserError(
            f"{settings.name} keeps the training reports in its weights, which `dvc push` sends "
            f"on, and {settings.data.name} is restricted: choose another model.family"
        )
    with devices_of(settings, root) as devices:
        _train_on(
            launch(settings, devices), settings, processed=processed, tokenizer=tokenizer,
            floors=floors, out=out, root=root, log_to=log_to, base=base,
        )  # fmt: skip


def _train_on(
    fabric: Fabric, settings: Settings, *, processed: Path, tokenizer: Path, floors: Path,
    out: Path | None, root: Path, log_to: Callable[[str], Log], base: Path | None,
) -> None:  # fmt: skip
    words = Tokenizer.load(tokenizer)
    here = fabric.device.type
    parts = kept_parts(settings, processed, tokenizer, device=here, root=root)
    if parts["device"] != here:
        fabric.print(f"{settings.name} is trained already, on {parts['device']}")
    key = training_key(parts)
    folder = state_folder(root, key)
    with TrainingState(folder, owner=fabric.is_global_zero) as state:
        if parts["device"] != here and not has_state(root, key):
            raise UserError(
                f"{folder} is empty: another process had the training on {parts['device']} "
                "meanwhile; run this again"
            )
        if not has_state(root, key):
            require_bf16(settings, here)
        if fabric.is_global_zero and (told := why_afresh(folder, parts)):
            print(told)
        studies, val = open_split(processed, "train"), open_split(processed, "val")
        prepared = partial(
            study_batches, tokenizer=words, settings=settings, processed=processed, root=root
        )
        of_training = partial(prepared, studies, batch_size=settings.train.batch_size)
        with fabric.rank_zero_first():  # one process keeps the features, the others read them
            knowledge = _learn(settings, studies, words, of_training, fabric)
            seed_epoch(settings.train.seed, 0)
            model = build_model(settings, len(words), knowledge).to(fabric.device)
            batches = of_training(visual=model.visual)
            val_batches = prepared(
                val, batch_size=settings.generate.batch_size, visual=model.visual
            )
        constant = read_floors(floors, processed=processed, tokenizer=tokenizer)
        floor = bleu_of_constant(
            constant.reports["strict"]["best_constant"], [study.text for study in val.studies]
        )
        fabric.print(
            f"{settings.name}: {num_parameters(model):,} parameters, {len(batches):,} studies, "
            f"{settings.train.epochs} epochs on {fabric.device}\n"
            f"floor: one report for all studies scores validation BLEU-4 {floor:.3f}"
        )
        if settings.visual.frozen and settings.visual.weights == "none":
            fabric.print("visual.frozen with visual.weights: none keeps a CNN of random weights")
        state.require_room(model)
        lessons = _lessons(settings, studies, batches, words, base, fabric)
        progress = fit(
            model, batches, settings=settings, fabric=fabric, state=state,
            validate=lambda model: _validate(model, val, val_batches, words, settings), floor=floor,
            log=log_to(key) if fabric.is_global_zero else _no_log, lessons=lessons,
            rewarded=_rewarded(model, settings, studies, words),
        )  # fmt: skip
        if fabric.is_global_zero and out:
            write_run(
                out, best=state.best, model=model, progress=progress, settings=settings,
                facts={
                    "key": key, "data_digest": parts["data"],
                    "tokenizer_digest": parts["tokenizer"], "parameters": num_parameters(model),
                },
            )  # fmt: skip


def _learn(
    settings: Settings, studies: Split, words: Tokenizer, batches: Callable[..., StudyBatches],
    fabric: Fabric,
) -> Knowledge:  # fmt: skip
    """What the family learns of the training studies before there is a model."""
    if not settings.family.learns:
        return NOTHING
    visual = VisualExtractor(settings.visual, settings.model, pretrained=True).to(fabric.device)
    learnt = learn(
        settings.model.family, studies, batches(visual=visual), words, settings.family.model_dump()
    )
    return Knowledge(*({name: torch.from_numpy(t) for name, t in part.items()} for part in learnt))


def _lessons(
    settings: Settings, studies: Split, batches: StudyBatches, words: Tokenizer,
    base: Path | None, fabric: Fabric,
) -> Lessons | None:  # fmt: skip
    """The curriculum, by a module that is loaded when one is asked for: a change of it is none of
    other trainings."""
    if settings.curriculum.name == "none":
        return None
    if base is None:
        raise UserError(
            "a curriculum needs the same training without one, found none; run `dvc repro` of its "
            "stage, which trains that first"
        )
    lessons: Lessons = importlib.import_module(CURRICULUM).lessons(
        settings, studies, batches, words, base=base, fabric=fabric
    )
    return lessons


def _rewarded(
    model: ReportModel, settings: Settings, studies: Split, words: Tokenizer
) -> Rewarded | None:
    """The losses of epochs on rewards, by a module that is loaded when there are any."""
    if not settings.reward.share:
        return None
    longest = settings.data.max_length
    references = [words.encode(study.text, longest)[1:] for study in studies.studies]
    losses: Rewarded = importlib.import_module(POLICY_GRADIENT).rewarded(
        model, settings.reward, references, words
    )
    return losses


def _no_log(epoch: int, numbers: dict[str, float]) -> None:
    """For all processes but the first, which logs for all."""


def _validate(
    model: ReportModel, val: Split, batches: StudyBatches, words: Tokenizer, settings: Settings
) -> dict[str, float]:
    """BLEU of reports for the validation studies under the length penalty with the best BLEU-4,
    and what betrays a collapse onto one report."""
    penalties = settings.generate.length_penalty
    references = [study.text for study in val.studies]
    best: dict[str, float] = {}
    written = write_reports(model, batches.in_order(), words, settings.generate)
    for penalty, reports in zip(penalties, written, strict=True):
        scores = {f"val_{name}": score for name, score in bleu(reports, references).items()}
        if not best or scores[SELECTION] > best[SELECTION]:
            found = diagnostics(reports, references, ())
            signs = {f"val_{name}": found[name] for name in ("distinct_reports", "top_share")}
            best = {"length_penalty": penalty, **scores, **signs}
            best["val_collapsed"] = int(is_collapsed(found))
    return best
