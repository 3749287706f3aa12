"""`rcan score` and `rcan compare`: any model's reports, and two runs beyond noise or within it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rcan.cli.options import (
    Clean,
    Cleaned,
    Json,
    Meteor,
    Quiet,
    Resamples,
    Seed,
    be_quiet,
    print_json,
    remark,
)
from rcan.data.sets import TITLES, Name, data_set

if TYPE_CHECKING:
    from rcan.evaluation.scores import Scores
    from rcan.reporting.beside import Published
    from rcan.scoring.texts import Texts

_RUN = "An evaluated run (main, rve_cgm-1), a folder with scores.json, or a predictions.csv."


def score(
    predictions: Annotated[
        Path, typer.Argument(help="CSV, JSON or plain text with one report for each study.")
    ],
    references: Annotated[
        Path | None,
        typer.Argument(
            help="References of the same studies; not needed if PREDICTIONS has both columns, nor "
            "with --beside if annotation.json lies with the raw data."
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            help="Training reports or annotation.json: for floors and the protocol paper."
        ),
    ] = None,
    val: Annotated[
        Path | None, typer.Option(help="Validation reports, to choose a constant report on.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Which split of an annotation.json to score.")
    ] = "test",
    against: Annotated[
        list[Path] | None, typer.Option(help="Other predictions to compare with; may be repeated.")
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Put them among published runs, e.g. of reports/iu_xray-small/runs."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="With --beside: Kaggle's indiana_reports.csv, for findings F1; without it, that "
            "beside REFERENCES."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="With --beside: write its tables as a page.")
    ] = None,
    rexrank: Annotated[
        Path | None,
        typer.Option(help="Write the predictions in ReXrank's form, and tell its BLEU-2."),
    ] = None,
    protocol: Annotated[
        Literal["all", "strict", "paper"],
        typer.Option(
            help="strict: whole references; paper: as R2Gen, references cut, rare words <unk>."
        ),
    ] = "all",
    data: Annotated[
        Name | None,
        typer.Option(
            help="Clean texts as R2Gen does for this data set; clean text stays as it is. Without "
            "it, the data set of --beside or of the scores.json beside PREDICTIONS, else iu_xray."
        ),
    ] = None,
    clean: Clean = True,
    min_freq: Annotated[
        int | None,
        typer.Option(
            min=1, help="Training words that occur less often become <unk>; without it as in R2Gen."
        ),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="Longest report in words; without it as in R2Gen.")
    ] = None,
    resamples: Resamples = 1000,
    seed: Seed = 1,
    meteor: Meteor = True,
    output: Annotated[
        Path | None, typer.Option(help="Write scores.json and table.md into this folder.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score any model's reports: intervals, constant reports as floors, signs of collapse.

    Needs no training, no images and no GPU.
    """
    from rcan.cli.beside import (
        About,
        keep_for_rexrank,
        placed,
        published_of,
        rexrank_told,
        without_java,
    )
    from rcan.scoring.references import Cleaner, in_order, matched, read_ground
    from rcan.scoring.score_reports import (
        Options,
        protocols_of,
        score_reports,
        score_tables,
    )
    from rcan.scoring.texts import read_texts

    be_quiet(quiet)
    published = published_of(beside, {"--html": html, "--labels": labels})
    data = data or (published.data if published else _data_beside(predictions))
    cleaner = Cleaner(data, clean)

    def read(path: Path, side: str) -> "Texts":
        return read_texts(path, side, split, tell=cleaner.tells_ids)

    wanted = read(_references(predictions, references, published), "references")
    ground = read_ground(wanted, cleaner, train=train, val=val)
    given = read(predictions, "predictions")
    raw = in_order(given, ground, cleaner)
    written = [cleaner.as_written(text) for text in raw]
    if given.by_line and not wanted.by_line:
        remark(f"{predictions} has no ids: its line k is taken for study k of {wanted.path}")
    others = {
        name: matched(read(path, "predictions"), ground, cleaner)
        for name, path in _names(against or []).items()
    }
    if empty := sum(not text for text in written):
        remark(f"{empty} of {len(written)} predictions are empty: each scores 0")
    options = Options(
        protocols=protocols_of(protocol, ground),
        min_freq=min_freq or data_set(data).min_freq,
        max_length=max_length or data_set(data).max_length,
        resamples=resamples,
        seed=seed,
        meteor=meteor and not (published and without_java()),
        floors=published is None,
    )
    result, models = score_reports(written, ground, others, options)
    result |= {
        "text": f"cleaned as {cleaner.name}" if clean else "as given",
        "min_freq": options.min_freq,
        "max_length": options.max_length,
    }
    if not cleaner.tells_ids:
        for floor in result.get("floors", {}).values():
            del floor["texts"]
    if published or rexrank:
        result |= rexrank_told(raw, wanted, resamples=resamples, seed=seed)
    if rexrank:
        keep_for_rexrank(rexrank, raw, wanted, data)
    if published:
        about = About(predictions, wanted, labels, written)
        table = placed(result, models, published, about, html)
    else:
        table = score_tables(result)
    if output:
        _keep(output, result, table, models)
    if json:
        print_json(result)
    else:
        print(table)


def compare(
    first: Annotated[str, typer.Argument(help=_RUN)],
    second: Annotated[str, typer.Argument(help="The same.")],
    data: Cleaned = "iu_xray",
    clean: Clean = True,
    resamples: Resamples = 1000,
    seed: Seed = 1,
    meteor: Meteor = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two runs on the same studies: settings, scores, paired differences, controls."""
    from rcan.project import project_root
    from rcan.scoring.compare_runs import compare_runs, compare_tables
    from rcan.scoring.references import Cleaner

    be_quiet(quiet)
    result = compare_runs(
        (first, second),
        project_root(),
        Cleaner(data, clean),
        resamples=resamples,
        seed=seed,
        meteor=meteor,
    )
    if json:
        print_json(result)
    else:
        print(compare_tables(result))


def _data_beside(predictions: Path) -> Name:
    """The data set that an evaluation of ours names beside its predictions, else iu_xray."""
    from rcan.errors import UserError
    from rcan.evaluation.results import SCORES, read_scores

    try:
        told = read_scores(predictions.parent / SCORES, "leave it", ["data"])
    except UserError:
        return "iu_xray"
    known = [name for name in TITLES if name == told["data"]]
    return known[0] if known else "iu_xray"


def _references(predictions: Path, references: Path | None, published: "Published | None") -> Path:
    from rcan.cli.beside import annotation_of
    from rcan.errors import UserError
    from rcan.scoring.texts import has_both_sides

    if references:
        return references
    if has_both_sides(predictions):
        return predictions
    if published:
        return annotation_of(published)
    raise UserError(
        f"{predictions}: expected the columns id, reference and prediction, or a second file with"
        " the references; give it: `rcan score PREDICTIONS REFERENCES`"
    )


def _names(against: list[Path]) -> dict[str, Path]:
    """A short name for each file, the whole path where two would have the same."""
    from rcan.streams import escaped

    stems = [path.stem for path in against]
    return {
        escaped(path.stem if stems.count(path.stem) == 1 else str(path)): path for path in against
    }


def _keep(folder: Path, result: dict[str, Any], table: str, models: "dict[str, Scores]") -> None:
    """scores.json, table.md and, if all metrics and protocols are there, counts.npz to compare."""
    from rcan.evaluation.protocols import PROTOCOLS
    from rcan.evaluation.results import COUNTS, write_counts
    from rcan.files import write_json, write_text

    write_json(folder / "scores.json", result)
    write_text(folder / "table.md", table + "\n")
    if set(models) == set(PROTOCOLS) and all(
        model.meteor_counts is not None for model in models.values()
    ):
        write_counts(folder, models)
    else:
        (folder / COUNTS).unlink(missing_ok=True)
    remark(f"kept in {folder}")
