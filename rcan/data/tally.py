"""How much of a data set its source lacks, and whether that is too much to go on."""

from dataclasses import dataclass

from rcan.data.raw import RawImage, RawStudy
from rcan.errors import UserError

MOST_LOST = 0.1  # share of the reports, or of the images, that may be missing or unreadable


@dataclass
class Tally:
    """Counts of studies, one by one, and the first that lacks a report or an image."""

    name: str
    studies: int = 0
    reports_missing: int = 0
    first_without: str = ""
    images: int = 0
    images_missing: int = 0
    first_missing: RawImage | None = None

    def count(self, study: RawStudy) -> None:
        self.studies += 1
        if not study.has_report:
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


def _why_lost(image: RawImage) -> str:
    try:
        image.read()
    except (UserError, OSError) as error:
        return str(error)
    return image.name
