"""What the labels of a data set name: Open-i's Problems (IU X-ray), CheXpert's (MIMIC-CXR), or the
demo's findings."""

from collections.abc import Sequence

from rcan.data.store import Study
from rcan.errors import UserError

NORMAL = "normal"  # of a study whose labels name nothing, as IU X-ray's indexers call it
NO_FINDING = "no finding"  # CheXpert's word for it
NOT_INDEXED = "no indexing"  # Open-i's word for a study that nobody indexed


def named(labels: Sequence[str] | None) -> set[str] | None:
    """What the labels of one study name, or None where it is unknown.

    `nodule/left` is `nodule`, `edema/uncertain` names nothing; no label at all is `normal`.
    """
    if labels is None or NOT_INDEXED in labels:
        return None
    parts = [label.split("/") for label in labels or (NORMAL,)]
    return {head for head, *more in parts if "uncertain" not in more}


def are_labelled(studies: Sequence[Study]) -> bool:
    """Whether the labels of any study are known."""
    return any(named(study.labels) is not None for study in studies)


def named_of_all(studies: Sequence[Study], instead: str) -> list[set[str] | None]:
    """`named` of each study.

    Raises `UserError`, which ends with what to do `instead`, if it is unknown of all of them.
    """
    found = [named(study.labels) for study in studies]
    if all(names is None for names in found):
        raise UserError(
            "expected labels of the training studies, found none: put Kaggle's "
            "indiana_reports.csv into the data's folder, or Open-i's XML, for MIMIC-CXR "
            f"mimic-cxr-2.0.0-chexpert.csv, and run `dvc repro preprocess`, or {instead}"
        )
    return found
