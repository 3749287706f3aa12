"""The report of one evaluation: results.md with its tables and figures, and the example studies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rcan.data.store import open_split, read_summary
from rcan.evaluation.bleu import bleu_of_constant
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.results import Results, is_rcan, read_results
from rcan.files import write_csv, write_text
from rcan.reporting.consistency import overlap_cautions, require_one_run
from rcan.reporting.examples import choose_examples, withhold_examples, write_examples
from rcan.reporting.figures import scores_figure, training_curves
from rcan.reporting.tables import (
    LEAD,
    cautions,
    controls_markdown,
    diagnostics_markdown,
    published_note,
    results_markdown,
    results_rows,
)
from rcan.reporting.templates import markdown_page
from rcan.table import number


def write_report(*, evaluation: Path, run: Path, processed: Path, out: Path, command: str) -> None:
    """Write results.md, results.csv, scores.png, training.png and training.svg into `out`.

    `out`/examples gets examples.md with images and report text, which must not be shared for data
    sets that forbid it: keep that folder out of git.

    Args:
        evaluation: holds scores.json and predictions.csv.
        run: holds history.csv and best.json.
        processed: the processed data that both came from.
        command: what a reader types to get these results again.

    Raises:
        UserError: a file is missing or damaged, they do not belong together, or a score would
            stand without its floor.
    """
    found = read_results(evaluation, run)
    scores, best = found.scores, found.best
    summary = read_summary(processed)
    examples = choose_examples(found.predictions, open_split(processed, scores["split"]))
    require_one_run(scores, len(found.predictions), best, found.config, summary)
    page, rows = results_page(found, summary, command), results_rows(scores)

    val = [study.text for study in open_split(processed, "val").studies]
    training_curves(
        found.history,
        title=f"{scores['model']} on {scores['data']}",
        chosen_epoch=best["epoch"],
        floor=bleu_of_constant(scores["floors"]["best_constant"]["text"], val),
        out=out / "training.png",
    )
    scores_figure(scores, out / "scores.png")
    if scores["restricted"]:
        withhold_examples(out / "examples")
    else:
        write_examples(
            examples,
            data_name=scores["data"],
            floors={name: floor["text"] for name, floor in scores["floors"].items()},
            out=out / "examples",
        )
    write_csv(out / "results.csv", rows)
    write_text(out / "results.md", page)


def results_page(found: Results, summary: Mapping[str, Any], command: str) -> str:
    """results.md. Raises UserError where a score would stand without its floor."""

    def counts(what: str) -> str:
        return " / ".join(str(summary["splits"][name][what]) for name in ("train", "val", "test"))

    scores = found.scores
    return markdown_page(
        "results",
        scores=scores,
        strict=scores["protocols"]["strict"],
        cautions=[*cautions(scores), *overlap_cautions(summary)],
        results={protocol: results_markdown(scores, protocol) for protocol in PROTOCOLS},
        published_note=published_note(scores),
        lead=LEAD,
        controls=controls_markdown(scores),
        diagnostics=diagnostics_markdown(scores),
        summary=summary,
        counts=counts,
        sizes=_sizes(found.config["visual"], found.config["model"]),
        best={"trained_on": None, **found.best},
        last=found.config["train"].get("choose") == "last",
        number=number,
        command=command,
    )


def _sizes(visual: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    cnn = visual["backbone"]
    if cnn != "small":
        cnn += f" to {visual['last_layer']}, weights {visual['weights']}"
    told = (
        f"CNN {cnn}, {'frozen' if visual['frozen'] else 'trained'}, {visual['crop']} pixels; "
        f"d_model {model['d_model']}"
    )
    if is_rcan(model):
        told += (
            f", {model['num_encoder_layers']} + {model['num_decoder_layers']} layers, "
            f"{model['num_heads']} heads"
        )
    return told
