"""The page of one evaluation: results.md with its tables and figures, and the example studies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rcan.data.store import open_split, read_summary
from rcan.evaluation.bleu import bleu
from rcan.evaluation.results import Results, read_results
from rcan.files import write_csv, write_text
from rcan.reporting.control_tables import controls_markdown
from rcan.reporting.examples import choose_examples, withhold_examples, write_examples
from rcan.reporting.figures import scores_figure, training_curves
from rcan.reporting.ground import overlap_cautions, require_one_run
from rcan.reporting.tables import (
    LEAD,
    PROTOCOLS,
    cautions,
    diagnostics_markdown,
    published_note,
    results_markdown,
    results_rows,
)

PROTOCOL_NOTES = {
    "strict": "References are the whole cleaned reports. Compare our own models by these scores.",
    "paper": "As the field scores: references are cut to the model's length, and rare words are "
    "`<unk>` in them. These scores are set beside published ones.",
}

FLOORS_NOTE = (
    "The two floors are what one report scores when every study gets it: a report put together "
    "from sentences of train to score best on validation, and the most frequent report of train. "
    f"`{LEAD}` is the lead over the higher of the two; a model without one does no better "
    "than writing the same for everybody."
)


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
    scores, best, config = found.scores, found.best, found.config
    summary = read_summary(processed)
    examples = choose_examples(found.predictions, open_split(processed, scores["split"]))
    require_one_run(scores, len(found.predictions), best, config, summary)
    page, rows = _page(found, summary, command), results_rows(scores)

    training_curves(
        found.history,
        title=f"{scores['model']} on {scores['data']}",
        chosen_epoch=best["epoch"],
        floor=_validation_floor(scores, processed),
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


def _validation_floor(scores: Mapping[str, Any], processed: Path) -> float:
    """BLEU-4 of the best constant report on the validation split, scored as training does."""
    references = [study.text for study in open_split(processed, "val").studies]
    constant = scores["floors"]["best_constant"]["text"]
    return bleu([constant] * len(references), references)["BLEU-4"]


def _page(found: Results, summary: Mapping[str, Any], command: str) -> str:
    scores = found.scores
    parts = [f"# Results: {scores['data']}", _opening(scores)]
    parts += [f"**{caution}**" for caution in (*cautions(scores), *overlap_cautions(summary))]
    for protocol in PROTOCOLS:
        parts += [
            f"## {protocol.capitalize()} protocol",
            PROTOCOL_NOTES[protocol],
            results_markdown(scores, protocol),
        ]
    parts += [published_note(scores), "![Scores and floors](scores.png)"]
    parts += [
        FLOORS_NOTE,
        "## What overlap scores cannot see",
        controls_markdown(scores),
        "## Predictions",
        diagnostics_markdown(scores),
        _where_examples_are(scores),
        "## Training",
        "![Losses and validation BLEU-4](training.png)",
        "## What was run",
        _facts(found, summary),
        f"```\n{command}\n```",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _opening(scores: Mapping[str, Any]) -> str:
    bleu = scores["protocols"]["strict"]
    model, floor = (
        row["BLEU-4"]["score"] for row in (bleu["model"], bleu["floors"]["best_constant"])
    )
    return (
        f"{scores['model']} scores BLEU-4 {model:.3f} on the {scores['num_studies']} studies of "
        f"the {scores['data']} {scores['split']} split (strict protocol); the best constant report "
        f"scores {floor:.3f} there."
    )


def _where_examples_are(scores: Mapping[str, Any]) -> str:
    if scores["restricted"]:
        return "The data set is restricted: no report and no image of it is shown."
    return (
        "Six studies with their images, from the best prediction to the worst, and the words of "
        "the two constant reports are in [examples/examples.md](examples/examples.md). They are "
        "report text and images, so they stay on the machine that made them."
    )


def _sizes(visual: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    cnn = visual["backbone"]
    if cnn != "small":
        cnn += f" to {visual['last_layer']}, weights {visual['weights']}"
    return (
        f"CNN {cnn}, {'frozen' if visual['frozen'] else 'trained'}, {visual['crop']} pixels; "
        f"d_model {model['d_model']}, {model['num_encoder_layers']} + "
        f"{model['num_decoder_layers']} layers, {model['num_heads']} heads"
    )


def _facts(found: Results, summary: Mapping[str, Any]) -> str:
    scores, config, counts = found.scores, found.config, summary["splits"]
    studies = " / ".join(str(counts[split]["studies"]) for split in ("train", "val", "test"))
    images = " / ".join(str(counts[split]["images"]) for split in ("train", "val", "test"))
    facts = [
        ("data set", f"{scores['data']} (digest {summary['digest']})"),
        ("studies, train / val / test", studies),
        ("images, train / val / test", images),
        ("model", scores["model"]),
        ("sizes", _sizes(config["visual"], config["model"])),
        ("seed", str(scores["seed"])),
        ("epoch, chosen by validation BLEU-4", str(scores["epoch"])),
        ("trained on", found.best.get("trained_on", "not told")),
        ("beam size", str(scores["beam_size"])),
        ("length penalty, chosen on validation", f"{scores['length_penalty']:g}"),
        ("scoring", scores["signature"]),
    ]
    return "\n".join(f"- {what}: {value}" for what, value in facts)
