"""IU X-ray (Demner-Fushman et al., 2016) from any of the three forms it is handed round in.

All three give the same 2,955 studies of R2Gen's split, in the same order, with the same two views
and the same findings as report.
"""

import os
from functools import partial
from pathlib import Path

from rcan.data.images import file_version, read_grey
from rcan.data.raw import Problems, RawDataSet, RawImage, RawStudy
from rcan.data.sets import DataSet
from rcan.data.sets.iu_xray_layouts import LAYOUTS, FoundStudy, ListedStudy, listed_studies
from rcan.errors import UserError
from rcan.text.cleaning import clean_iu_xray

SOURCES = (
    "Open-i (https://openi.nlm.nih.gov/faq), R2Gen's annotation and images "
    "(https://github.com/cuhksz-nlp/R2Gen), or Kaggle's raddar/chest-xrays-indiana-university"
)


def read_iu_xray(root: Path, listed: list[ListedStudy] | None = None) -> RawDataSet:
    """Read the listed studies (all of R2Gen's split when None) from whatever layout `root` holds.

    Every listed study is returned, in the listed order: one without a report has the report "",
    an image without a file has no version. A folder may hold several layouts (R2Gen's annotation
    beside Kaggle's images): the first whose reports and images are both there is read.
    Raises UserError when there is none, or when its files are damaged.
    """
    if listed is None:
        listed = listed_studies()
    layouts = [layout for layout in LAYOUTS if layout.has_reports(root)]
    for layout in layouts:
        found, problems = layout.read(root, listed)
        if any(os.path.isfile(path) for study in found.values() for path in study.image_paths):
            studies = [_raw_study(study, found.get(study.id)) for study in listed]
            absent = [study.id for study in listed if study.id not in found]
            met = Problems({**problems, "report_missing": absent})
            return RawDataSet("iu_xray", layout.name, studies, met)
    raise UserError(_none_found(root, [layout.name for layout in layouts]))


def _raw_study(study: ListedStudy, found: FoundStudy | None) -> RawStudy:
    paths = found.image_paths[: len(study.stems)] if found else ()
    unnamed = Path(study.id, "no file named in the reports")  # counts as a missing image
    images = tuple(
        RawImage(stem, partial(read_grey, path), projection, file_version(path))
        for stem, projection, path in zip(
            study.stems,
            study.projections,
            (*paths, *[unnamed] * (len(study.stems) - len(paths))),
            strict=True,
        )
        if found
    )
    report = found.report if found else ""
    labels = found.labels if found else None
    return RawStudy(study.id, study.split, report, images, labels, patient=study.number)


def _none_found(root: Path, without_images: list[str]) -> str:
    if not root.is_dir():
        came = "no such folder"
    elif without_images:
        came = f"the reports of {' and '.join(without_images)} but none of the images they name"
    else:
        came = "none of them"
    looks = "; or ".join(f"{layout.looks_like} ({layout.name})" for layout in LAYOUTS)
    return (
        f"{root.absolute()}: expected IU X-ray as {looks}; found {came}; set data.root, "
        f"or get the data from {SOURCES}"
    )


DATA_SET = DataSet(
    read=lambda source: read_iu_xray(source.root),
    clean=clean_iu_xray,
    what="Chest X-rays and reports of Indiana University (Open-i, National Library of "
    "Medicine), as split by R2Gen. D. Demner-Fushman et al., J Am Med Inform Assoc "
    "2016;23(2):304-310.",
    terms="Open-i offers the images and reports under CC BY-NC-ND 4.0; the de-identified "
    "vocabulary in tokenizer.json and the weights are derived from them. Whether a model is an "
    "adaptation in the licence's sense is not settled: do not use this one commercially, and ask "
    "before you hand it on.",
    min_freq=3,
    max_length=60,
)
