"""Stage cases: attention over the image (Fig. 4) and case studies (Fig. 6) of the trained cells.

Both show images and report text, so they go into a folder that git ignores; what the attention is
worth as a number goes beside the tables. Cells that are not run yet are left out and named.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from pipeline.stage import EVALUATIONS, PROCESSED, REPORTS, RUNS, TOKENIZER, run
from rcan.ablation.cells import CELLS, cell_of, load_cells
from rcan.ablation.plan import planned_runs, same_as
from rcan.config import PipelineSettings
from rcan.data.sets.demo import finding_regions
from rcan.data.store import Split, open_split, read_summary
from rcan.errors import UserError
from rcan.evaluation.labelers import LABELERS
from rcan.files import write_text
from rcan.project import project_root
from rcan.reporting.attention_maps import draw_attention
from rcan.reporting.attention_numbers import write_no_numbers, write_numbers
from rcan.reporting.cases import Rows, cases_page, clear, draw_cases, rows_of
from rcan.reporting.labelled_split import LabelledSplit, ModelAttention

EXAMPLES = REPORTS / "cases" / "examples"
POINTING = REPORTS / "cases" / "fig4.csv"


def main(settings: PipelineSettings) -> None:
    split, summary = open_split(PROCESSED, "test"), read_summary(PROCESSED)
    cells = load_cells(CELLS)
    looking, shown_cells = cells.of_figure("fig4"), cells.of_figure("fig6")
    names = [name for name in planned_runs() if cell_of(name) in (*looking, *shown_cells)]
    done = [name for name in names if _is_run(same_as(name))]
    rows = {name: rows_of(EVALUATIONS / same_as(name), split, summary["digest"]) for name in done}
    labeler = LABELERS.get(summary["name"])
    restricted = settings.privacy.restricted
    shown: dict[str, list[str]] = {}
    clear(EXAMPLES)
    if labeler:
        models = [
            _attention_of(name, split, rows[name]) for name in done if cell_of(name) in looking
        ]
        regions = _regions(split, settings) if summary["name"] == "demo" else None
        labelled = LabelledSplit(summary["name"], split, labeler, regions)
        bootstrap = settings.eval.model_dump()
        write_numbers(labelled, models, out=POINTING, **bootstrap)
        if not restricted:
            shown["fig4"] = draw_attention(labelled, models, cells, EXAMPLES / "fig4.png")
            shown["fig6"] = draw_cases(labelled, rows, cells, EXAMPLES / "fig6.png")
    else:
        write_no_numbers(POINTING)
    missing = [name for name in names if name not in done]
    text = cases_page(summary["name"], shown, missing, restricted=restricted, known=bool(labeler))
    write_text(EXAMPLES / "cases.md", text)
    print(text)


def _is_run(place: str) -> bool:
    weights, reports = RUNS / place / "best.json", EVALUATIONS / place / "predictions.csv"
    return weights.is_file() and reports.is_file()


def _attention_of(name: str, split: Split, rows: Rows) -> ModelAttention:
    """Have a trained model read its own reports, looking at the images."""
    from rcan.attention.patches import places_of
    from rcan.attention.weights import attention_of_reports
    from rcan.text.tokenizer import Tokenizer
    from rcan.training.inputs import study_batches
    from rcan.training.run_folder import load_run, require_same_inputs

    words = Tokenizer.load(TOKENIZER)
    model, trained, best = load_run(RUNS / same_as(name), len(words))
    require_same_inputs(best, processed=PROCESSED, tokenizer=TOKENIZER)
    batches = study_batches(
        split, words, trained, visual=model.visual, processed=PROCESSED,
        root=project_root(), batch_size=trained.generate.batch_size,
    )  # fmt: skip
    texts = [row["prediction"] for row in rows]
    if (longest := max(len(text.split()) for text in texts)) > trained.data.max_length:
        raise UserError(
            f"{EVALUATIONS / same_as(name) / 'predictions.csv'}: expected reports of at most "
            f"{trained.data.max_length} words, found one of {longest}; run its evaluation again"
        )
    reports = [words.encode(text, trained.data.max_length) for text in texts]
    try:
        attention = attention_of_reports(model, batches.in_order(), reports, pad_id=words.pad_id)
    except UserError as error:
        raise UserError(f"{name}, which `figures` of ablations/cells.yaml names: {error}") from None
    return ModelAttention(name, texts, attention, places_of(trained, model.visual.map_side))


def _regions(split: Split, settings: PipelineSettings) -> Callable[[int], Mapping[str, np.ndarray]]:
    """Where each finding of a demo study shows, drawn again when asked for."""
    rows = split.view_rows(settings.data.num_views).tolist()
    return cache(
        lambda study: finding_regions(split, study, seed=settings.demo.seed, rows=rows[study])
    )


if __name__ == "__main__":
    run(main)
