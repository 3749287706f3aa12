"""Stage controls: reports from findings alone, scored on validation and test as a model's are.

A data set whose studies have no labels has no such control: a line says so, and the tables' rows.
"""

import shutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.stage import EVALUATIONS, FLOORS, METEOR_PARTS, PROCESSED, RUNS, TOKENIZER, run
from rcan.ablation.cells import CONTROLS, NO_LABELS, run_name
from rcan.code import code_digest
from rcan.config import PipelineSettings
from rcan.data.sets import data_set
from rcan.data.store import Split, open_split, read_summary
from rcan.evaluation.evaluate import evaluate, score_table
from rcan.evaluation.kept_floors import read_floors
from rcan.evaluation.labelers import LABELERS
from rcan.evaluation.paraphrases import KeptParts
from rcan.evaluation.protocols import reference
from rcan.evaluation.results import PREDICTIONS, SCORES, scores_of_run, write_counts, write_scores
from rcan.files import digest_of, sha256_of, write_csv, write_json
from rcan.project import project_root
from rcan.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from rcan.controls.finding_controls import Control

OF_MAPS, OF_IMAGES = 4, 8  # side of the grid that kept maps, or else the images, are averaged to
PROTOCOL = "paper"  # of the constant report to begin with, and of the BLEU-4 that chooses
Features = Callable[[Split], np.ndarray]
OF_VALIDATION = ("protocols", "beats_floor", "controls", "diagnostics", "findings")


def main(settings: PipelineSettings) -> None:
    from rcan.controls.finding_controls import Ground, fit_controls, has_labels
    from rcan.controls.finding_head import compute_on_one_thread

    computed_on = compute_on_one_thread()
    settings = settings.with_weights_under(project_root())
    labeler = LABELERS.get(settings.data.name)
    train, val, test = (open_split(PROCESSED, name) for name in ("train", "val", "test"))
    names = [run_name(name, seed) for name, seeds in CONTROLS.items() for seed in seeds]
    for folder in (place / name for name in names for place in (RUNS, EVALUATIONS)):
        shutil.rmtree(folder, ignore_errors=True)
    if labeler is None or not all(has_labels(split, labeler) for split in (train, val, test)):
        print(f"no labels: {settings.data.name} does not say what its studies show; no control")
        for folder in (place / name for name in names for place in (RUNS, EVALUATIONS)):
            write_json(folder / NO_LABELS, {"data": settings.data.name})
        return
    words = Tokenizer.load(TOKENIZER)
    floors = read_floors(FLOORS, processed=PROCESSED, tokenizer=TOKENIZER)
    ground = Ground(
        train=train,
        val=val,
        references=[
            reference(study.text, PROTOCOL, words.vocabulary, floors.max_length)
            for study in val.studies
        ],
        constant=floors.reports[PROTOCOL]["best_constant"],
        labeler=labeler,
        features=_features(settings, words),
    )
    options: dict[str, Any] = {
        "train_texts": [study.text for study in train.studies],
        "val": list(val.studies),
        "vocabulary": words.vocabulary,
        "max_length": floors.max_length,
        "floors": floors.reports,
        "clean": data_set(settings.data.name).clean,
        "resamples": settings.eval.resamples,
        "seed": settings.eval.seed,
        "labeler": labeler,
        "parts": KeptParts(project_root() / METEOR_PARTS, words.vocabulary),
    }
    facts = {
        "data_digest": read_summary(PROCESSED)["digest"], "tokenizer_digest": sha256_of(TOKENIZER)
    }  # fmt: skip
    for control in fit_controls(ground, CONTROLS["finding_template"]):
        print(f"{control.name}, seed {control.seed}: {control.trials[control.chosen]}", flush=True)
        on_val, _, _ = evaluate(predictions=control.write(val), test=val.studies, **options)
        result, rows, counts = evaluate(
            predictions=control.write(test), test=test.studies, **options
        )
        best = _write_run(control, settings, facts, computed_on)
        scores = scores_of_run(
            result, best, data=settings.data.name, restricted=settings.privacy.restricted,
            num_studies=len(rows), model=control.name, seed=control.seed, beam_size=1,
        )  # fmt: skip
        scores["validation"] = {key: on_val[key] for key in OF_VALIDATION}
        print(score_table(scores), flush=True)
        out = EVALUATIONS / run_name(control.name, control.seed)
        write_scores(out / SCORES, scores)
        write_csv(out / PREDICTIONS, rows)
        write_counts(out, counts)


def _features(settings: PipelineSettings, words: Tokenizer) -> Features:
    """Of a split's studies: the kept maps of a frozen CNN, else the images, as coarse grids."""
    from rcan.controls.finding_head import study_features
    from rcan.model.visual.extractor import VisualExtractor
    from rcan.training.inputs import study_batches

    @cache
    def of_split(split: Split) -> np.ndarray:
        source: np.ndarray = split.images
        side = OF_IMAGES
        if settings.visual.frozen:
            visual = VisualExtractor(settings.visual, settings.model, pretrained=True)
            source = study_batches(
                split, words, settings, visual=visual, processed=PROCESSED, root=project_root(),
                batch_size=settings.generate.batch_size,
            ).source  # fmt: skip
            side = OF_MAPS
        return study_features(split, source, settings.data.num_views, side)

    return of_split


def _write_run(
    control: "Control", settings: PipelineSettings, facts: dict[str, str], computed_on: str
) -> dict[str, Any]:
    """The control's folder under runs: what was tried on validation in the place of epochs."""
    config = {
        "scale": settings.scale,
        "data": {"name": settings.data.name, "num_views": settings.data.num_views},
        "visual": settings.of_the_model()["visual"],
        "model": {"family": control.name},
        "train": {"seed": control.seed},
    }
    code = code_digest("pipeline.controls")
    floors = sha256_of(FLOORS)
    best = {
        "name": f"{control.name} seed={control.seed}",
        "trained_on": computed_on,
        **facts,
        "key": digest_of({"settings": config, "code": code, "floors": floors, **facts}),
        "epoch": 1 + control.chosen,
        "length_penalty": 0.0,
        **control.trials[control.chosen],
    }
    folder = RUNS / run_name(control.name, control.seed)
    write_json(folder / "config.json", config)
    write_csv(
        folder / "history.csv",
        [{"epoch": number, **row} for number, row in enumerate(control.trials, start=1)],
    )
    write_json(folder / "best.json", best)
    return best


if __name__ == "__main__":
    run(main)
