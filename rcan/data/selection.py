"""Which studies of a raw data set are kept, and the record of what was wrong with the others."""

from typing import Any

from rcan.data.study import SPLITS, RawDataSet, RawImage, RawStudy, Study, View
from rcan.errors import UserError
from rcan.text.cleaning import CLEANERS

RULES = (
    "duplicate_id: of studies with one id, the first is kept",
    "no_report: a study whose cleaned report holds nothing but full stops is left out",
    "no_image: a study without a readable image is left out",
    "image_missing, image_unreadable: the study is kept with its other view, which is repeated",
    "image_surplus: of more than two images of a study, the first two are read",
    "report_long: a report of more than 500 words is kept; training reads its first words alone",
    "image_twice, image_in_two_splits: an image equal to an earlier one, once packed, is kept",
    "patient_in_two_splits: the studies are kept, for the split is the one that others compare on",
    "an unreadable image leaves a black row in its split's array, to which no view points",
)
MOST_LOST = 0.1  # share of the reports, or of the images, that may be missing or unreadable
MOST_LISTED = 20
LONG_REPORT = 500  # words; the longest of IU X-ray has 149


class Problems:
    """What went wrong: kind -> the ids it went wrong with, in order."""

    def __init__(self, known: dict[str, list[str]]):
        self._ids = {kind: list(ids) for kind, ids in known.items()}

    def add(self, kind: str, name: str) -> None:
        self._ids.setdefault(kind, []).append(name)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Count and first ids of each kind."""
        return {
            kind: {"count": len(ids), "ids": ids[:MOST_LISTED]} for kind, ids in self._ids.items()
        }


def select(data: RawDataSet, problems: Problems) -> dict[str, list[RawStudy]]:
    """The usable studies of each split, in order, judged without reading pixels.

    Raises UserError when too many reports or images are missing, or a split is left empty.
    """
    kept: dict[str, list[RawStudy]] = {split: [] for split in SPLITS}
    seen = set()
    for study in data.studies:
        if study.id in seen:
            problems.add("duplicate_id", study.id)
            continue
        seen.add(study.id)
        if not CLEANERS[data.name](study.report).replace(".", "").strip():
            problems.add("no_report", study.id)
            continue
        if len(study.report.split()) > LONG_REPORT:
            problems.add("report_long", study.id)
        for image in study.images:
            if image.version is None:
                problems.add("image_missing", f"{study.id}: {image.name}")
        if not present_images(study):
            problems.add("no_image", study.id)
            continue
        kept[study.split].append(study)
    _require_most_reports(data)
    require_most_images(data, unreadable=[])
    require_every_split(data, kept)
    return kept


def present_images(study: RawStudy) -> list[RawImage]:
    """The images of a study that its source really has, read or not: its rows when packed."""
    return [image for image in study.images if image.version is not None]


def with_views(
    name: str, studies: list[RawStudy], unreadable: set[int], problems: Problems
) -> list[Study]:
    """Cleaned studies of one split, each with the rows of its readable images."""
    kept = []
    row = 0
    for study in studies:
        views = []
        for image in present_images(study):
            if row in unreadable:
                problems.add("image_unreadable", f"{study.id}: {image.name}")
            else:
                views.append(View(row, image.projection))
            row += 1
        if views:
            text = CLEANERS[name](study.report)
            kept.append(
                Study(study.id, study.split, study.report, text, tuple(views), study.labels)
            )
        else:
            problems.add("no_image", study.id)
    return kept


def require_every_split(data: RawDataSet, splits: dict[str, list[Any]]) -> None:
    for split, studies in splits.items():
        if not studies:
            raise UserError(
                f"{data.name}: expected studies in every split, {split} has none left with a "
                "report and an image; complete the raw data or, for the demo, raise its count"
            )


def require_most_images(data: RawDataSet, *, unreadable: list[RawImage]) -> None:
    """Raise UserError when more than a tenth of all images is missing or unreadable."""
    images = [image for study in data.studies for image in study.images]
    missing = [image for image in images if image.version is None]
    lost = missing + unreadable
    if len(lost) > MOST_LOST * len(images):
        raise UserError(
            f"{data.name}: expected {len(images)} images, {len(missing)} are missing and "
            f"{len(unreadable)} unreadable, such as: {_why_lost(lost[0])}; "
            "nothing was written: complete the image folder and run again"
        )


def _require_most_reports(data: RawDataSet) -> None:
    without = [study.id for study in data.studies if not study.report]
    if len(without) > MOST_LOST * len(data.studies):
        raise UserError(
            f"{data.name}: expected {len(data.studies)} reports, {len(without)} are missing or "
            f"empty, such as that of {without[0]}; nothing was written: complete the reports"
        )


def _why_lost(image: RawImage) -> str:
    try:
        image.read()
    except (UserError, OSError) as error:
        return str(error)
    return image.name
