"""What a folder of raw data holds and lacks, found out without packing an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rcan.data.iu_xray import read_iu_xray
from rcan.data.mimic_cxr import findings_in_sample, read_mimic_cxr
from rcan.data.mimic_cxr.problems import NamesNobodyError
from rcan.data.selection import Problems, present_images, select
from rcan.data.study import SPLITS, RawDataSet, RawImage, RawStudy
from rcan.errors import UserError

NAMES = ("iu_xray", "mimic_cxr")
TRIED = 16  # images that are read, evenly spaced
WITHHELD = "the message may name a patient, --with-ids shows it"


def check(name: str, root: Path, *, with_ids: bool) -> dict[str, Any]:
    """What `root` holds of the data set `name`: layout, counts a split, problems, `usable`.

    `reason` says why it is not usable. Without `with_ids` nothing in the result names a study or a
    file of one: problems are counted alone, and a message that may name one is withheld.
    """
    found: dict[str, Any] = {"data": name, "folder": str(root.absolute()), "layout": None}
    try:
        data = read_mimic_cxr(root, texts=False) if name == "mimic_cxr" else read_iu_xray(root)
        found |= _told(data, with_ids)
        sample = findings_in_sample(root, data.layout) if name == "mimic_cxr" else None
        if sample:
            found["reports_looked_into"] = {"of": sample[1], "with_findings": sample[0]}
    except Exception as error:
        if not isinstance(error, UserError | OSError) and with_ids:
            raise
        found["usable"] = False
        safe = with_ids or isinstance(error, NamesNobodyError)
        found["reason"] = str(error) if safe else f"{type(error).__name__}: {WITHHELD}"
    return found


def _told(data: RawDataSet, with_ids: bool) -> dict[str, Any]:
    problems = Problems(data.problems)
    reason = None
    try:
        select(data, problems)
    except UserError as error:
        reason = str(error) if with_ids else (
            "a split is empty, or more than a tenth of the reports or of the images is missing"
        )  # fmt: skip
    tried, unreadable = _try_images([i for study in data.studies for i in present_images(study)])
    if not reason and unreadable > tried // 10:
        reason = f"{unreadable} of {tried} images tried cannot be read"
    met = problems.summary()
    return {
        "layout": data.layout,
        "splits": {split: _counts(data.studies, split) for split in SPLITS},
        "images_tried": {"of": tried, "unreadable": unreadable},
        "problems": met if with_ids else {kind: {"count": met[kind]["count"]} for kind in met},
        "usable": reason is None,
    } | ({"reason": reason} if reason else {})


def _counts(studies: Sequence[RawStudy], split: str) -> dict[str, int]:
    """`missing` counts those that the list names and the folder lacks."""
    mine = [study for study in studies if study.split == split]
    reports = sum(bool(study.report) for study in mine)
    images = [image for study in mine for image in study.images]
    present = sum(image.version is not None for image in images)
    return {
        "studies": len(mine), "reports": reports, "reports_missing": len(mine) - reports,
        "images": present, "images_missing": len(images) - present,
    }  # fmt: skip


def _try_images(images: Sequence[RawImage]) -> tuple[int, int]:
    tried = images[:: max(1, len(images) // TRIED)][:TRIED]
    unreadable = 0
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
