"""Three listed studies of IU X-ray in each of the three layouts, as small as can be."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rcan.data.sets.iu_xray_layouts import listed_studies

LISTED = listed_studies()[:3]
REPORTS = ("The heart is big. Lungs are clear.", "No effusion & no <mass>.", 'A "quoted" line.')
PIXELS = np.arange(80, dtype=np.uint8).reshape(8, 10)


def write_images(paths: list[Path]) -> None:
    """The same small image at every path."""
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, format="PNG")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.getvalue())


def annotation() -> dict[str, Any]:
    """R2Gen's annotation.json."""
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for study, report in zip(LISTED, REPORTS, strict=True):
        paths = [f"{study.id}/0.png", f"{study.id}/1.png"]
        record = {"id": study.id, "report": report, "image_path": paths, "split": study.split}
        splits[study.split].append(record)
    return splits


def write_r2gen(root: Path) -> Path:
    """R2Gen's layout; the annotation's path."""
    write_images([root / "images" / study.id / f"{view}.png" for study in LISTED for view in "01"])
    path = root / "annotation.json"
    path.write_text(json.dumps(annotation()), encoding="utf-8")
    return path


XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="INDICATION">Cough.</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">Invented.</AbstractText>
</Abstract></Article></MedlineCitation></eCitation>"""


def write_openi(root: Path) -> Path:
    """Open-i's layout; the path of the second study's report."""
    write_images([root / "NLMCXR_png" / f"CXR{stem}.png" for s in LISTED for stem in s.stems])
    (root / "ecgen-radiology").mkdir()
    for study, report in zip(LISTED, REPORTS, strict=True):
        findings = report.replace("&", "&amp;").replace("<", "&lt;")
        text = XML.format(number=study.number, findings=findings)
        (root / "ecgen-radiology" / f"{study.number}.xml").write_text(text, encoding="utf-8")
    return root / "ecgen-radiology" / f"{LISTED[1].number}.xml"


def table(rows: list[list[str]]) -> str:
    """A CSV text."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def kaggle_rows() -> list[list[str]]:
    """Kaggle's table of reports."""
    rows = [["uid", "MeSH", "findings", "impression"]]
    for study, report in zip(LISTED, REPORTS, strict=True):
        rows.append([study.number, "", report, "Invented, by us."])
    return rows


def write_kaggle(root: Path) -> Path:
    """Kaggle's layout; the path of its table of reports."""
    folder = root / "images" / "images_normalized"
    write_images([folder / f"{stem}.dcm.png" for study in LISTED for stem in study.stems])
    path = root / "indiana_reports.csv"
    path.write_text(table(kaggle_rows()), encoding="utf-8", newline="")
    return path
