"""What a folder of raw data holds and lacks, found out without packing an image."""

from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from rcan.data.raw import RawDataSet, Tally
from rcan.data.selection import present_images, select
from rcan.data.sets import Source, data_set
from rcan.data.store import SPLITS
from rcan.data.temporary_database import DiskError, temporary_database
from rcan.errors import NamesNobodyError, UserError

TRIED = 16  # images that are read, evenly spaced
WITHHELD = "the message may name a patient, --with-ids shows it"


def check(name: str, root: Path, *, with_ids: bool, work: Path) -> dict[str, Any]:
    """What `root` holds of the data set `name`: layout, counts a split, problems, `usable`.

    `reason` says why it is not usable. Without `with_ids` nothing in the result names a study or a
    file of one: problems are counted alone, and a message that may name one is withheld. What is
    read lies in `work` meanwhile; raises UserError when that cannot be written.
    """
    found: dict[str, Any] = {"data": name, "folder": str(root.absolute()), "layout": None}
    try:
        with temporary_database(work) as database:
            data = data_set(name).read(Source(root, database, texts=False))
            found |= _told(data, with_ids, database)
        look_into = data_set(name).sample
        if look_into and (sample := look_into(root, data.layout)):
            found["reports_looked_into"] = {"of": sample[1], "with_findings": sample[0]}
    except DiskError:
        raise
    except Exception as error:
        if not isinstance(error, UserError | OSError) and with_ids:
            raise
        found["usable"] = False
        safe = with_ids or isinstance(error, NamesNobodyError)
        found["reason"] = str(error) if safe else f"{type(error).__name__}: {WITHHELD}"
    return found


def _told(data: RawDataSet, with_ids: bool, database: Connection) -> dict[str, Any]:
    problems = data.problems.copy()
    reason = None
    try:
        select(data, problems, database)
    except UserError as error:
        reason = str(error) if with_ids else (
            "a split is empty, or more than a tenth of the reports or of the images is missing"
        )  # fmt: skip
    counts = {split: _counts(tally) for split, tally in _tallies(data).items()}
    tried, unreadable = _try_images(data, sum(split["images"] for split in counts.values()))
    if not reason and unreadable > tried // 10:
        reason = f"{unreadable} of {tried} images tried cannot be read"
    met = problems.summary()
    return {
        "layout": data.layout,
        "splits": counts,
        "images_tried": {"of": tried, "unreadable": unreadable},
        "problems": met if with_ids else {kind: {"count": met[kind]["count"]} for kind in met},
        "usable": reason is None,
    } | ({"reason": reason} if reason else {})


def _tallies(data: RawDataSet) -> dict[str, Tally]:
    tallies = {split: Tally(data.name) for split in SPLITS}
    for study in data.studies:
        tallies[study.split].count(study)
    return tallies


def _counts(tally: Tally) -> dict[str, int]:
    """`missing` counts those that the list names and the folder lacks."""
    return {
        "studies": tally.studies,
        "reports": tally.studies - tally.reports_missing,
        "reports_missing": tally.reports_missing,
        "images": tally.images - tally.images_missing,
        "images_missing": tally.images_missing,
    }


def _try_images(data: RawDataSet, number: int) -> tuple[int, int]:
    """Read TRIED of the `number` images that there are; how many were tried and not readable."""
    images = (image for study in data.studies for image in present_images(study))
    unreadable, tried = 0, list(islice(images, 0, None, max(1, number // TRIED)))[:TRIED]
    for image in tried:
        try:
            image.read()
        except (UserError, OSError):
            unreadable += 1
    return len(tried), unreadable


def lines_of(found: dict[str, Any]) -> list[str]:
    """The result in a few lines; problems with the first ids where it has them."""
    lines = [
        f"data set  {found['data']}",
        f"folder    {found['folder']}",
        f"layout    {found['layout'] or 'none'}",
    ]
    if found["layout"]:
        columns = ["studies", "reports", "reports_missing", "images", "images_missing"]
        paper = found.get("paper", {})  # split -> its counts of Table 2
        heads = [*columns, *(f"paper: {name}" for name in next(iter(paper.values()), {}))]
        lines.append("")
        lines.append(f"{'split':7}" + "".join(f"{c.replace('_', ' '):>17}" for c in heads))
        for split, counts in found["splits"].items():
            told = [*(counts[column] for column in columns), *paper.get(split, {}).values()]
            lines.append(f"{split:7}" + "".join(f"{count:>17,}" for count in told))
        lines.append("")
        tried = found["images_tried"]
        lines.append(f"images tried: {tried['of']}, unreadable: {tried['unreadable']}")
        if sample := found.get("reports_looked_into"):
            lines.append(
                f"reports looked into: {sample['of']}, with findings: {sample['with_findings']}; "
                "the others are left out when the data are read"
            )
        for kind, problem in found["problems"].items():
            first = ", ".join(problem.get("ids", [])[:3])
            lines.append(f"{kind}: {problem['count']:,}" + (f", first {first}" if first else ""))
    return lines
