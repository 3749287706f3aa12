"""Which studies of a raw data set are kept, and the record of what was wrong with the others."""

import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from rcan.data.problems import Problems
from rcan.data.raw import RawDataSet, RawImage, RawStudy
from rcan.data.study import SPLITS, Study, View
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
LONG_REPORT = 500  # words; the longest of IU X-ray has 149


class Kept:
    """The usable studies of one split, in order, each read from its source when it is asked for."""

    def __init__(self, source: Sequence[RawStudy]) -> None:
        self._source = source
        self._numbers = array("q")
        self._versions = sha256()
        self.images = KeptImages(self)

    def add(self, number: int, study: RawStudy) -> None:
        """Keep the study at `number` of the source."""
        self._numbers.append(number)
        for image in present_images(study):
            self.images.count += 1
            self._versions.update(f"{image.name}\0{image.version}\0".encode())

    @property
    def versions(self) -> str:
        """A digest of the name and version of each image."""
        return self._versions.hexdigest()

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[RawStudy]:
        return map(self._source.__getitem__, self._numbers)


class KeptImages:
    """The images of kept studies that their source really has: the rows of a split's array."""

    def __init__(self, studies: Kept) -> None:
        self._studies = studies
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[RawImage]:
        return (image for study in self._studies for image in present_images(study))

    def at(self, row: int) -> RawImage:
        """The image of one row, found by going through those before."""
        return next(islice(self, row, None))


@dataclass
class Tally:
    """How much of a data set its source lacks, told by the first that it lacks."""

    name: str
    studies: int = 0
    reports_missing: int = 0
    first_without: str = ""
    images: int = 0
    images_missing: int = 0
    first_missing: RawImage | None = None

    def count(self, study: RawStudy) -> None:
        self.studies += 1
        if not study.report:
            self.reports_missing += 1
            self.first_without = self.first_without or study.id
        self.images += len(study.images)
        for image in study.images:
            if image.version is None:
                self.images_missing += 1
                self.first_missing = self.first_missing or image

    def require_most_reports(self) -> None:
        """Raise UserError when more than a tenth of all reports is missing."""
        if self.reports_missing > MOST_LOST * self.studies:
            raise UserError(
                f"{self.name}: expected {self.studies} reports, {self.reports_missing} are missing "
                f"or empty, such as that of {self.first_without}; nothing was written: complete "
                "the reports"
            )

    def require_most_images(self, unreadable: int = 0, first: RawImage | None = None) -> None:
        """Raise UserError when more than a tenth of all images is missing or unreadable."""
        lost = self.first_missing or first
        if lost and self.images_missing + unreadable > MOST_LOST * self.images:
            raise UserError(
                f"{self.name}: expected {self.images} images, {self.images_missing} are missing "
                f"and {unreadable} unreadable, such as: {_why_lost(lost)}; "
                "nothing was written: complete the image folder and run again"
            )


def select(
    data: RawDataSet, problems: Problems, database: sqlite3.Connection
) -> tuple[dict[str, Kept], Tally]:
    """The usable studies of each split, in order, judged without reading pixels.

    `database` remembers their ids. Raises UserError when too many reports or images are missing,
    or a split is left empty.
    """
    kept = {split: Kept(data.studies) for split in SPLITS}
    tally = Tally(data.name)
    database.execute("create table met (id text primary key) without rowid")
    for number, study in enumerate(data.studies):
        tally.count(study)
        if not database.execute("insert or ignore into met values (?)", (study.id,)).rowcount:
            problems.add("duplicate_id", study.id)
            continue
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
        kept[study.split].add(number, study)
    tally.require_most_reports()
    tally.require_most_images()
    require_every_split(data.name, {split: len(studies) for split, studies in kept.items()})
    return kept, tally


def present_images(study: RawStudy) -> list[RawImage]:
    """The images of a study that its source really has, read or not: its rows when packed."""
    return [image for image in study.images if image.version is not None]


class Cleaned(NamedTuple):
    """A study as it is written, with what its source alone tells."""

    study: Study
    image_names: list[str]  # of its views
    patient: str | None


def cleaned(
    name: str, studies: Kept, unreadable: set[int], problems: Problems
) -> Iterator[Cleaned]:
    """Yield the cleaned studies of one split, each with the rows of its readable images."""
    row = 0
    for study in studies:
        views, names = [], []
        for image in present_images(study):
            if row in unreadable:
                problems.add("image_unreadable", f"{study.id}: {image.name}")
            else:
                views.append(View(row, image.projection))
                names.append(image.name)
            row += 1
        if views:
            text = CLEANERS[name](study.report)
            found = Study(study.id, study.split, study.report, text, tuple(views), study.labels)
            yield Cleaned(found, names, study.patient)
        else:
            problems.add("no_image", study.id)


def require_every_split(name: str, numbers: Mapping[str, int]) -> None:
    """Raise UserError when a split has no study."""
    for split, number in numbers.items():
        if not number:
            raise UserError(
                f"{name}: expected studies in every split, {split} has none left with a "
                "report and an image; complete the raw data or, for the demo, raise its count"
            )


def _why_lost(image: RawImage) -> str:
    try:
        image.read()
    except (UserError, OSError) as error:
        return str(error)
    return image.name
