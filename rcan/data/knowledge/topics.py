"""Topics of a chest X-ray, told from the labels of a study, whichever data set brings them.

The twenty are PPKED's (Liu et al., CVPR 2021, 2106.06963), named as ASGMD's public code has them.
Labels are those of `rcan.data.labels`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rcan.data.labels import named_of_all
from rcan.data.store import Study


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
        r"device|catheter|instrument|\btubes?\b|\bstents?\b|suture|pacemaker|(?:\b|_)lines?\b",
    ),
    Topic("other", "", r"(?!)"),
)  # fmt: skip
UNKNOWN = -1


def topics_of(names: set[str] | None) -> np.ndarray:
    """(20,) int8: 1 for a topic among what a study's labels name, 0, or `UNKNOWN` throughout.

    A name that is of no topic is "other".
    """
    if names is None:
        return np.full(len(TOPICS), UNKNOWN, dtype=np.int8)
    found = np.zeros(len(TOPICS), dtype=np.int8)
    for name in names:
        of_name = [bool(re.search(topic.labels, name)) for topic in TOPICS]
        found |= np.array([*of_name[:-1], not any(of_name)], dtype=np.int8)
    return found


def topics_of_all(studies: Sequence[Study], instead: str) -> np.ndarray:
    """(N, 20) int8, a row a study by `topics_of`.

    Raises `UserError`, which ends with what to do `instead`, if no study has labels.
    """
    return np.stack([topics_of(names) for names in named_of_all(studies, instead)])


def graph() -> np.ndarray:
    """(20, 20) float32: D^-1/2 (A + 1) D^-1/2 (Kipf & Welling, 1609.02907), where A joins topics of
    one organ."""
    organs = [topic.organ or topic.name for topic in TOPICS]
    joined = np.array([[one == other for other in organs] for one in organs], dtype=np.float32)
    degrees = joined.sum(1)
    return joined / np.sqrt(np.outer(degrees, degrees))
