"""A made-up MIMIC-CXR in PhysioNet's layout: noise as pictures, invented words, real oddities."""

import csv
import gzip
import io
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from rcan.data.sets.demo_findings import report_on, see

SPLITS = ("train", "validate", "test")
LABELS = ("Atelectasis", "Edema", "No Finding", "Support Devices")


@dataclass
class Made:
    """One made-up study: what is written of it, and the report that a reader must find."""

    patient: str
    id: str
    split: str
    images: list[tuple[str, str]] = field(default_factory=list)  # dicom_id, ViewPosition
    text: bytes | None = None  # of the report's file; None for no file
    expected: str | None = None  # None where the study has no findings

    @property
    def place(self) -> str:
        return f"p{self.patient[:2]}/p{self.patient}/s{self.id}"


# Heading over the findings, and the lines around it: what a reader must find is `{}` alone.
SHAPES = (
    " FINAL REPORT\n EXAMINATION:  CHEST\n\n FINDINGS: \n \n {}\n \n IMPRESSION: \n \n Fine.\n",
    " FINAL REPORT\n FINDINGS:  {}\n\n IMPRESSION:  Fine.\n",
    " FINAL REPORT\n FINDNGS: {}\n IMPRESSION: Fine.\n",
    " FINAL REPORT\n FINDING:   {}\n CONCLUSION: Fine.\n",
    " FINAL REPORT\r\n FINDINGS:\r\n {}\r\n IMPRESSION: Fine.\r\n",
    " FINAL REPORT\n Findings: {}\n Impression: Fine.\n",
    " FINAL REPORT\n FINDINGS AND IMPRESSION:\n {}\n",
    " FINAL REPORT\n FINDINGS/IMPRESSION: {}\n RECOMMENDATION(S): None.\n",
    " WET READ: ___ 10:30 AM\n  Wet.\n ____\n FINAL REPORT\n FINDINGS: {}\n NOTIFICATION: No.\n",
    " ADDENDUM  Added words.\n ______\n FINAL REPORT\n FINDINGS:\n {}\n COMPARISON: None.\n",
    " FINAL REPORT\n CHEST, PA AND LATERAL:\n {}\n IMPRESSION: Fine.\n",
    "FINDINGS:\n{}\nTechnique: Portable.\n",
    " FINAL REPORT\n PA AND LATERAL:  {}\n IMPRESSION: Fine.\n",
    " FINAL REPORT\n PORTABLE AP UPRIGHT CHEST:  {}\n IMPRESSION: Fine.\n",
    " FINAL REPORT\n SEMI-UPRIGHT PORTABLE CHEST:\n {}\n IMPRESSION: Fine.\n",
    " FINAL REPORT\n CHEST, 2 VIEWS, PA AND LAT:\n {}\n IMPRESSION: Fine.\n",
)  # fmt: skip
WITHOUT = (
    b"", b" FINAL REPORT\n IMPRESSION:  Fine.\n",
    b" FINAL REPORT\n FINDINGS: \n IMPRESSION: Fine.\n",
    b" FINAL REPORT\n Nothing to say here.\n",
)  # fmt: skip
VIEWS = (("PA", "LATERAL"), ("AP",), ("LATERAL", "AP"), ("LL", "PA"), ("LATERAL",), ("", "LATERAL"))


def make_studies(number: int, seed: int = 0, *, patients: int | None = None) -> list[Made]:
    """Studies in the tables' order; every third has no findings, as in the real ones."""
    draw, numbers = random.Random(seed), np.random.default_rng(seed)
    patients = patients or max(3, number // 3)
    studies = []
    for index in range(number):
        patient = index * patients // number
        split = "validate" if patient % 10 == 1 else "test" if patient % 10 == 2 else "train"
        made = Made(str(10_000_000 + patient * 37), str(50_000_000 + index * 11), split)
        for view in VIEWS[index % len(VIEWS)]:
            made.images.append(("-".join(f"{draw.getrandbits(32):08x}" for _ in range(5)), view))
        if index % 3 == 2:
            made.text = WITHOUT[index // 3 % len(WITHOUT)]
        else:
            made.expected = report_on(see(numbers), numbers)
            made.text = SHAPES[index % len(SHAPES)].format(made.expected).encode()
        studies.append(made)
    return studies


def write_tables(root: Path, studies: list[Made], *, packed: bool = True, twice: int = 0) -> None:
    """The three tables; the first `twice` rows of the split stand twice. Metadata is unordered."""
    root.mkdir(parents=True, exist_ok=True)
    split = [
        {"dicom_id": name, "study_id": made.id, "subject_id": made.patient, "split": made.split}
        for made in studies
        for name, _ in made.images
    ]
    metadata = [
        {"dicom_id": name, "subject_id": made.patient, "study_id": made.id,
         "PerformedProcedureStepDescription": "CHEST (PA AND LAT)", "ViewPosition": view,
         "Rows": 3056, "Columns": 2544, "StudyDate": 21800506, "StudyTime": 213014.531,
         "ProcedureCodeSequence_CodeMeaning": "CHEST (PA AND LAT)",
         "ViewCodeSequence_CodeMeaning": "postero-anterior",
         "PatientOrientationCodeSequence_CodeMeaning": "Erect"}
        for made in studies
        for name, view in made.images
    ]  # fmt: skip
    labels = [
        {"subject_id": made.patient, "study_id": made.id, **dict.fromkeys(LABELS, ""),
         LABELS[index % 4]: "1.0", LABELS[(index + 1) % 4]: ("-1.0", "0.0")[index % 2]}
        for index, made in enumerate(studies)
    ]  # fmt: skip
    tables = {"split": split + split[:twice], "metadata": metadata, "chexpert": labels}
    for kind, rows in tables.items():
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue().encode()
        name = f"mimic-cxr-2.0.0-{kind}.csv"
        if packed:
            (root / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        else:
            (root / name).write_bytes(content)


def write_reports(folder: Path, studies: list[Made]) -> None:
    for made in studies:
        if made.text is not None:
            path = folder / f"{made.place}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made.text)


def write_images(folder: Path, studies: list[Made], side: int = 16) -> None:
    """Each its own noise."""
    for number, made in enumerate(studies):
        (folder / made.place).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (side, side), dtype=np.uint8)
        for view, (name, _) in enumerate(made.images):
            Image.fromarray(pixels + np.uint8(40 * view)).save(folder / made.place / f"{name}.jpg")


def write_tree(
    root: Path, studies: list[Made], *, packed: bool = True, side: int = 16,
    reports: str = "mimic-cxr-reports/files",
) -> Path:  # fmt: skip
    write_tables(root, studies, packed=packed)
    write_reports(root / reports, studies)
    write_images(root / "files", studies, side)
    return root


def write_r2gen(root: Path, studies: list[Made]) -> Path:
    """R2Gen's layout: its annotation beside the images."""
    write_images(root / "images", studies)
    write_annotation(root, studies)
    return root


def write_annotation(root: Path, studies: list[Made]) -> None:
    """A record an image, of studies with findings."""
    annotation: dict[str, list[dict]] = {"train": [], "val": [], "test": []}
    for made in studies:
        split = {"validate": "val"}.get(made.split, made.split)
        if made.expected is not None:
            annotation[split] += [
                {"id": name, "study_id": int(made.id), "subject_id": int(made.patient),
                 "report": made.expected, "image_path": [f"{made.place}/{name}.jpg"],
                 "split": split}
                for name, _ in made.images
            ]  # fmt: skip
    (root / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")
