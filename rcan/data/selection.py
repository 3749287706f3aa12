"""Which studies of a raw data set are kept, what was wrong with the others, and what they share.

Nothing is left out for what is shared, since a published split is kept as it is; it is told in the
summary. A report is no sign: half of IU X-ray's test reports occur word for word in train.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby, islice
from typing import NamedTuple

from rcan.data.raw import Problems, RawDataSet, RawImage, RawStudy, Tally
from rcan.data.sets import data_set
from rcan.data.store import SPLITS, Study, View
from rcan.errors import UserError

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
LONG_REPORT = 500  # words; the longest of IU X-ray has 149


class Kept:
    """The usable studies of one split, in order, each read from its source when it is asked for."""

    def __init__(self, source: Sequence[RawStudy]) -> None:
        self._source = source
        self._numbers = array("q")
        self.num_images = 0

    def add(self, number: int, study: RawStudy) -> None:
        """Keep the study at `number` of the source."""
        self._numbers.append(number)
        self.num_images += len(present_images(study))

    @property
    def images(self) -> "KeptImages":
        """The images that their source really has: the rows of the split's array."""
        return KeptImages(self)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[RawStudy]:
        return map(self._source.__getitem__, self._numbers)


class KeptImages:
    """The images of kept studies, each read with its study."""

    def __init__(self, studies: Kept) -> None:
        self._studies = studies

    def __len__(self) -> int:
        return self._studies.num_images

    def __iter__(self) -> Iterator[RawImage]:
        return (image for study in self._studies for image in present_images(study))

    def at(self, row: int) -> RawImage:
        """The image of one row, found by going through those before."""
        return next(islice(self, row, None))


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
        text = data_set(data.name).clean(study.report) if study.has_report else ""
        if not text.replace(".", "").strip():
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
            text = data_set(name).clean(study.report)
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


_TABLES = (
    "create table image (digest blob primary key, split text, told text) without rowid",
    "create table patient (name text, split text, study text, unique (name, split))",
)


class Overlap:
    """The images and patients met so far, in `database`; studies come in the order of splits."""

    def __init__(self, database: sqlite3.Connection, problems: Problems) -> None:
        for table in _TABLES:
            database.execute(table)
        self._database = database
        self._problems = problems

    def noting(
        self, studies: Iterable[Cleaned], pixels_of: Callable[[int], bytes]
    ) -> Iterator[Study]:
        """Pass studies through, and note each of their images that equals an earlier one.

        `pixels_of` gives the pixels of a row. Only rows that a view points to count: those of
        unreadable images are all black.
        """
        for one in studies:
            study = one.study
            for view, name in zip(study.views, one.image_names, strict=True):
                told = f"{study.split} {study.id}: {name}"
                self._note_image(pixels_of(view.row), study.split, told)
            if one.patient is not None:
                self._insert("patient", one.patient, study.split, study.id)
            yield study

    def note_patients(self) -> None:
        """Note each patient seen in more than one split, with the first study in each."""
        shared = "select name from patient group by name having count(*) > 1"
        rows = self._database.execute(
            f"select * from patient where name in ({shared}) order by name, rowid"
        )
        for patient, found in groupby(rows, key=lambda row: row[0]):
            told = ", ".join(f"{split} {study_id}" for _, split, study_id in found)
            self._problems.add("patient_in_two_splits", f"{patient}: {told}")

    def _note_image(self, pixels: bytes, split: str, told: str) -> None:
        digest = blake2b(pixels, digest_size=16).digest()
        if not self._insert("image", digest, split, told):
            query = "select split, told from image where digest = ?"
            first_split, first = self._database.execute(query, (digest,)).fetchone()
            kind = "image_twice" if first_split == split else "image_in_two_splits"
            self._problems.add(kind, f"{told} equals {first}")

    def _insert(self, table: str, *row: object) -> bool:
        """Whether it was not there yet."""
        found = self._database.execute(f"insert or ignore into {table} values (?, ?, ?)", row)
        return bool(found.rowcount)
