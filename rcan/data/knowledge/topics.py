"""Topics of a chest X-ray, told from the labels of a study, whichever data set brings them.

The twenty are PPKED's (Liu et al., CVPR 2021, 2106.06963), named as ASGMD's public code has them.
Labels are Open-i's Problems (IU X-ray), CheXpert's (MIMIC-CXR) or the demo's findings.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rcan.data.store import Study
from rcan.errors import UserError


class Topic(NamedTuple):
    name: str
    organ: str  # topics of one organ are neighbours in `GRAPH`
    labels: str  # what a label of it looks like


TOPICS = (
    Topic("normal", "", r"^(normal|no finding)$"),
    Topic("cardiomegaly", "heart", r"cardiomegaly|cardiac|cardiomediastinum"),
    Topic("scoliosis", "bone", r"scoliosis"),
    Topic("fractures", "bone", r"fracture"),
    Topic("effusion", "pleura", r"effusion|costophrenic"),
    Topic("thickening", "pleura", r"thickening|pleural other"),
    Topic("pneumothorax", "pleura", r"pneumothorax"),
    Topic("hernia", "mediastinum", r"hernia"),
    Topic("calcinosis", "mediastinum", r"calcinosis|calcified|atherosclerosis"),
    Topic("emphysema", "lung", r"(?<!subcutaneous )emphysema|obstructive"),
    Topic("pneumonia", "lung", r"pneumonia"),
    Topic("edema", "heart", r"edema|congestion|heart failure"),
    Topic("atelectasis", "lung", r"atelecta|volume loss"),
    Topic("cicatrix", "lung", r"cicatrix|fibrosis"),
    Topic("opacity", "lung", r"opacity|density|infiltrate"),
    Topic("lesion", "lung", r"lesion|nodule|mass\b|granuloma"),
    Topic("airspace disease", "lung", r"airspace|consolidation"),
    Topic("hypoinflation", "lung", r"^lung$|lung.volume|hypoinflation"),
    Topic(
        "medical device", "device",
        r"device|catheter|instrument|\btube|\bstent|suture|pacemaker|\bline|_line",
    ),
    Topic("other", "", r"(?!)"),
)  # fmt: skip
UNKNOWN = -1
_NOT_INDEXED = "no indexing"  # Open-i's word for a study that nobody indexed


def topics_of(labels: Sequence[str] | None) -> np.ndarray:
    """(20,) int8: 1 for a topic that the labels of one study name, 0, or `UNKNOWN` throughout.

    `cardiomegaly/mild` is cardiomegaly; `edema/uncertain` counts as none. No label at all is
    normal, a label that is of no topic is "other".
    """
    if labels is None or _NOT_INDEXED in labels:
        return np.full(len(TOPICS), UNKNOWN, dtype=np.int8)
    found = np.zeros(len(TOPICS), dtype=np.int8)
    for head, _, more in (label.partition("/") for label in labels):
        if more != "uncertain":
            named = [bool(re.search(topic.labels, head)) for topic in TOPICS]
            found |= np.array([*named[:-1], not any(named)], dtype=np.int8)
    found[0] |= not found.any()
    return found


def topics_of_all(studies: Sequence[Study], instead: str) -> np.ndarray:
    """(N, 20) int8, a row a study by `topics_of`.

    Raises `UserError`, which ends with what to do `instead`, if no study has labels.
    """
    table = np.stack([topics_of(study.labels) for study in studies])
    if (table == UNKNOWN).all():
        raise UserError(
            "expected labels of the training studies, found none: IU X-ray's are the Problems of "
            "Kaggle's indiana_reports.csv or of Open-i's XML, MIMIC-CXR's are "
            "mimic-cxr-2.0.0-chexpert.csv; put them beside the reports and run `dvc repro "
            f"preprocess`, or {instead}"
        )
    return table


def graph() -> np.ndarray:
    """(20, 20) float32: D^-1/2 (A + 1) D^-1/2 (Kipf & Welling, 1609.02907), where A joins topics of
    one organ."""
    organs = [topic.organ or topic.name for topic in TOPICS]
    joined = np.array([[one == other for other in organs] for one in organs], dtype=np.float32)
    degrees = joined.sum(1)
    return joined / np.sqrt(np.outer(degrees, degrees))
