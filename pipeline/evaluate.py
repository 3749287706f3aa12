"""Stage evaluate: the one place where test reports are generated and scored, floors beside."""

from typing import Any

from pipeline.stage import EVALUATION, PROCESSED, REPORTS, RUN, TOKENIZER, run
from rcan.config import PipelineSettings
from rcan.data.store import open_split
from rcan.evaluation.evaluate import evaluate
from rcan.evaluation.scores import signature
from rcan.evaluation.table import score_table
from rcan.files import write_csv, write_json
from rcan.project import project_root
from rcan.text.cleaning import CLEANERS
from rcan.text.tokenizer import Tokenizer
from rcan.training.inputs import study_batches
from rcan.training.run_folder import load_run, require_same_inputs
from rcan.training.train import forget_training, write_reports


def main(settings: PipelineSettings) -> None:
    words = Tokenizer.load(TOKENIZER)
    model, trained, best = load_run(RUN, len(words))
    require_same_inputs(best, processed=PROCESSED, tokenizer=TOKENIZER)
    test = open_split(PROCESSED, "test")
    batches = study_batches(
        test, words, trained, cnn=model.cnn, device=model.device, processed=PROCESSED,
        root=project_root(), batch_size=trained.generate.batch_size,
    )  # fmt: skip
    (predictions,) = write_reports(
        model, batches, words, trained, penalties=[best["length_penalty"]]
    )
    result, rows = evaluate(
        predictions=predictions,
        test=test.studies,
        train_texts=[study.text for study in open_split(PROCESSED, "train").studies],
        val_texts=[study.text for study in open_split(PROCESSED, "val").studies],
        vocabulary=words.vocabulary,
        max_length=trained.data.max_length,
        clean=CLEANERS[trained.data.name],
        resamples=settings.eval.resamples,
        seed=settings.eval.seed,
    )
    scores = {
        "data": trained.data.name,
        "split": "test",
        "restricted": settings.privacy.restricted,
        "num_studies": len(rows),
        "data_digest": best["data_digest"],
        "run": best["key"],
        "model": trained.name,
        "seed": trained.train.seed,
        "epoch": best["epoch"],
        "beam_size": trained.generate.beam_size,
        "length_penalty": best["length_penalty"],
        "signature": signature(),
        **result,
    }
    write_json(EVALUATION / "scores.json", scores)
    write_csv(EVALUATION / "predictions.csv", rows)
    write_json(REPORTS / "metrics.json", _short(scores))
    forget_training(project_root(), best["key"])  # its run folder is saved: this stage read it
    print(score_table(scores))


def _short(scores: dict[str, Any]) -> dict[str, Any]:
    """What `dvc metrics show` and `dvc exp show` list: strict scores, the floor, and collapse."""
    strict = scores["protocols"]["strict"]
    systems = {"test": strict["model"], "floor": strict["floors"]["best_constant"]}
    return {
        **{
            name: {metric: round(value["score"], 4) for metric, value in system.items()}
            for name, system in systems.items()
        },
        "distinct": scores["diagnostics"]["distinct_reports"],
    }


if __name__ == "__main__":
    run(main)
