"""Stage evaluate: the one place where test reports are generated and scored, floors beside.

`python -m pipeline.evaluate` scores the main run, `... rve_cgm-1` a planned cell.
"""

import sys
from pathlib import Path
from typing import Any

from pipeline.stage import (
    EVALUATIONS,
    FLOORS,
    METEOR_PARTS,
    PROCESSED,
    REPORTS,
    RUNS,
    TOKENIZER,
    run,
)
from rcan.ablation.plan import MAIN, leave_out, pass_on, planned_settings, same_as, why_not
from rcan.config import PipelineSettings
from rcan.files import write_csv
from rcan.project import project_root


def main(settings: PipelineSettings) -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else MAIN
    out, folder, root = EVALUATIONS / name, RUNS / name, project_root()
    if (of := same_as(name)) != name:
        pass_on(out, of)
        print(f"{name} equals {of}: nothing to score")
        return
    if name == MAIN:
        from rcan.evaluation.results import write_metrics

        scores = write_evaluation(settings, folder, out)
        write_metrics(REPORTS / "metrics.json", scores)
        forget_state(folder)
        forget_base(settings.with_weights_under(root))
        return
    if why := why_not(name):
        leave_out(out, why)
        print(f"{name} is not run: {why}")
        return
    from rcan.ablation import finished
    from rcan.ablation.jobs import has_base

    inputs = {"processed": PROCESSED, "tokenizer": TOKENIZER}
    own = planned_settings(name, settings).with_weights_under(root)
    made_of = finished.of_evaluation(own, folder, floors=FLOORS, **inputs)
    if finished.take(root, made_of, out):
        print(f"{name} is scored already, by stage cells")
    else:
        write_evaluation(settings, folder, out)
    forget_state(folder)
    if not has_base(name, settings):
        forget_base(own)
    finished.forget(root, finished.of_training(own, **inputs))  # DVC has saved it
    finished.mark_taken(root, made_of)


def write_evaluation(settings: PipelineSettings, run: Path, out: Path) -> dict[str, Any]:
    """Score the trained folder `run` on the test split into the folder `out`; the scores."""
    from rcan.evaluation.evaluate import score_table
    from rcan.evaluation.results import PREDICTIONS, SCORES, write_counts, write_scores

    scores, rows, counts = _evaluated(settings, run)
    print(score_table(scores))
    write_scores(out / SCORES, scores)
    write_csv(out / PREDICTIONS, rows)
    write_counts(out, counts)
    return scores


def forget_state(run: Path) -> None:
    """Remove the state of the training that `run` holds whole."""
    from rcan.evaluation.results import read_best
    from rcan.training.key import forget_training

    best = read_best(run, "run `dvc repro train`", "key")
    forget_training(project_root(), best["key"])


def forget_base(settings: PipelineSettings) -> None:
    """Remove the state of the training that was done for the curriculum of these settings alone."""
    if (plain := settings.base()) != settings:
        from rcan.training.key import forget_training, keys_of

        for key in keys_of(plain, PROCESSED, TOKENIZER):
            forget_training(project_root(), key)


def _evaluated(
    settings: PipelineSettings, run: Path
) -> tuple[dict[str, Any], list[dict[str, str | float]], dict[str, Any]]:
    """What is written of one run: its scores, a row a study, and the counts under each protocol."""
    from rcan.data.sets import data_set
    from rcan.data.store import open_split
    from rcan.evaluation.evaluate import evaluate
    from rcan.evaluation.floors import choose_floors
    from rcan.evaluation.kept_floors import read_floors
    from rcan.evaluation.labelers import LABELERS
    from rcan.evaluation.paraphrases import KeptParts
    from rcan.evaluation.results import scores_of_run
    from rcan.generation.generate import write_reports
    from rcan.text.tokenizer import Tokenizer
    from rcan.training.inputs import study_batches
    from rcan.training.run_folder import load_run, require_same_inputs

    words = Tokenizer.load(TOKENIZER)
    model, trained, best = load_run(run, len(words))
    require_same_inputs(best, processed=PROCESSED, tokenizer=TOKENIZER)
    test = open_split(PROCESSED, "test")
    batches = study_batches(
        test, words, trained, visual=model.visual, processed=PROCESSED,
        root=project_root(), batch_size=trained.generate.batch_size,
    )  # fmt: skip
    (predictions,) = write_reports(
        model, batches.in_order(), words, trained.generate, penalties=[best["length_penalty"]]
    )
    train_texts = [study.text for study in open_split(PROCESSED, "train").studies]
    val = list(open_split(PROCESSED, "val").studies)
    floors = read_floors(FLOORS, processed=PROCESSED, tokenizer=TOKENIZER)
    if floors.max_length != trained.data.max_length:  # a cell of its own
        floors = choose_floors(
            train_texts, [study.text for study in val],
            vocabulary=words.vocabulary, max_length=trained.data.max_length,
        )  # fmt: skip
    result, rows, counts = evaluate(
        predictions=predictions,
        test=test.studies,
        train_texts=train_texts,
        val=val,
        vocabulary=words.vocabulary,
        max_length=trained.data.max_length,
        floors=floors.reports,
        clean=data_set(trained.data.name).clean,
        resamples=settings.eval.resamples,
        seed=settings.eval.seed,
        labeler=LABELERS.get(trained.data.name),
        parts=KeptParts(project_root() / METEOR_PARTS, words.vocabulary),
    )
    scores = scores_of_run(
        result, best, data=trained.data.name, restricted=settings.privacy.restricted,
        num_studies=len(rows), model=trained.name, seed=trained.train.seed,
        beam_size=trained.generate.beam_size,
    )  # fmt: skip
    return scores, rows, counts


if __name__ == "__main__":
    run(main)
