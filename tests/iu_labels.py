"""The real IU X-ray reports with the labels of Open-i's indexers."""

import csv
import json
from pathlib import Path

from rcan.data.sets.iu_xray_layouts import problems_of_row
from rcan.data.store import Study
from rcan.text.cleaning import clean_iu_xray


def labelled(shared: Path) -> dict[str, list[Study]]:
    """split -> studies without views, in R2Gen's order."""
    folder = shared / "data" / "iu_xray"
    with (folder / "indiana_reports.csv").open(encoding="utf-8") as file:
        labels = {row["uid"]: problems_of_row(row) for row in csv.DictReader(file)}
    annotation = json.loads((folder / "annotation.json").read_text(encoding="utf-8"))
    return {
        split: [
            Study(
                id=one["id"],
                split=split,
                report=one["report"],
                text=clean_iu_xray(one["report"]),
                views=(),
                labels=labels[one["id"].split("_")[0].removeprefix("CXR")],
            )
            for one in found
        ]
        for split, found in annotation.items()
    }
