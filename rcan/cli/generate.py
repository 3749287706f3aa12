"""`rcan generate`: images in, reports out."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json, remark

if TYPE_CHECKING:
    from rcan.sharing.predictor import Predictor, Report
    from rcan.sharing.study_files import ReadStudy

NOTE = "not for clinical use"


def generate(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", show_default=False,
            help="PNG, JPEG or DICOM. A file is a study of one view; a folder is one study, its "
            "images in the order of their names.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", show_default=False,
            help="An exported model or runs/<name>; without it, runs/main.",
        ),
    ] = None,
    beams: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, show_default=False,
            help="Width of the beam search; without it, the model's own.",
        ),
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(
            metavar="frontal|lateral", show_default=False,
            help="What an image of a study shows; give it once for each. Without it DICOM or the "
            "file's name tells; else the first is frontal, the second lateral.",
        ),
    ] = None,
    attention: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png", show_default=False,
            help="Draw where the model looks for each word of one study, as PNG and SVG.",
        ),
    ] = None,
    word: Annotated[
        list[str] | None,
        typer.Option(
            show_default=False, help="With --attention: draw this word only; may be repeated."
        ),
    ] = None,
    one_study: Annotated[
        bool, typer.Option("--one-study", help="Read all given files as views of one study.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write a report for each image or study. For research; not for clinical use."""
    from tqdm import tqdm

    from rcan.errors import UserError, one_line
    from rcan.project import project_root

    be_quiet(quiet)
    _require_sense(images, view or [], attention, word or [], one_study)

    from rcan.sharing.loading import load_model
    from rcan.sharing.predictor import Predictor
    from rcan.sharing.study_files import read_study, studies_of

    predictor = Predictor(load_model(model or project_root() / "runs" / "main"))
    if len(view or []) > predictor.num_views:
        raise UserError(f"expected --view {predictor.num_views} times at most for this model")
    given = studies_of(images, predictor.num_views, one_study=one_study)
    data = predictor.loaded.settings.data
    drawn = ", which are drawings: of an X-ray it knows nothing" if data.name == "demo" else ""
    remark(f"{predictor.loaded.name}, trained on {data.name}{drawn}; {NOTE}")
    if len(given) > 1 and predictor.num_views > 1 and not any(place.is_dir() for place in images):
        remark(f"{len(given)} studies of one view each; --one-study takes them as views of one")
    read: list[ReadStudy] = []
    failed: list[UserError] = []

    def reading() -> Iterator["ReadStudy"]:
        """Up to the first that cannot be read: those before it are not to be lost."""
        for study in given:
            try:
                one = read_study(study, size=data.image_size, fit=data.fit, projections=view or [])
            except UserError as error:
                failed.append(error)
                return
            read.append(one)
            yield one

    rows: list[dict[str, Any]] = []
    with tqdm(total=len(given), unit="study", disable=len(given) < 2 or None) as bar:
        for report in predictor.reports(reading(), beams):
            study = read.pop(0)
            if attention:
                _draw(predictor, study, report, word or [], attention)
            if json:
                rows.append(_row(study, report))
            else:
                tqdm.write(f"{one_line(study.name)}: {report.text}")
            bar.update()
    if failed:
        raise failed[0]
    if json:
        print_json(
            {
                "model": predictor.loaded.name,
                "data": data.name,
                "note": NOTE,
                "beams": beams or predictor.loaded.settings.generate.beam_size,
                "length_penalty": predictor.loaded.length_penalty,
                "studies": rows,
            }
        )


def _require_sense(
    images: list[Path], views: list[str], attention: Path | None, words: list[str],
    one_study: bool,
) -> None:  # fmt: skip
    """Raise `UserError` for options that do not go together, before anything is loaded."""
    from rcan.errors import UserError, shown

    for view in views:
        if view not in ("frontal", "lateral"):
            raise UserError(f"expected --view to be frontal or lateral, got {shown(view)}")
    if words and not attention:
        raise UserError("--word chooses what --attention draws: give --attention OUT.png, too")
    if attention and len(images) != 1 and not one_study:
        raise UserError(
            f"--attention draws one study, got {len(images)}: give one image or "
            "folder, or --one-study if all are views of one"
        )
    if attention and attention.suffix != ".png":
        raise UserError(f"expected --attention to name a .png file, got {attention}")


def _draw(
    predictor: "Predictor", study: "ReadStudy", report: "Report", words: list[str], out: Path
) -> None:
    from rcan.sharing.word_maps import draw_attention

    draw_attention(predictor, study, report, words, out)
    remark(f"attention in {out} and {out.with_suffix('.svg')}")


def _row(study: "ReadStudy", report: "Report") -> dict[str, Any]:
    images = [
        {"path": str(path), "projection": projection}
        for path, projection in zip(study.paths, study.projections, strict=True)
    ]
    return {
        "study": study.name,
        "images": images,
        "report": report.text,
        "log_probability": report.log_probability,
        "tokens": list(report.tokens),
    }
