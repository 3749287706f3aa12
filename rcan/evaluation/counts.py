"""counts.npz: what a bootstrap needs of each study, so that runs are compared later without Java.

It holds numbers and no text: under each protocol the counts of BLEU, ROUGE-L and the counts of
METEOR. scores.json beside it holds the digests of the references that were scored against.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rcan.errors import UserError
from rcan.evaluation import bleu, meteor
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.results import SCORES
from rcan.evaluation.schema import ScoresFile, require
from rcan.evaluation.scores import Scores, scores_from_counts
from rcan.files import replacing
from rcan.reading import require_file

NAME = "counts.npz"
_REMEDY = "run the evaluation again"
_COLUMNS = {"bleu": (bleu.NUM_COUNTS,), "rouge": (), "meteor": (meteor.NUM_COUNTS,)}


def write_counts(folder: Path, scores: Mapping[str, Scores]) -> None:
    """Write the counts of a model, protocol -> scores, METEOR's among them."""
    arrays: dict[str, Any] = {}
    for protocol, found in scores.items():
        arrays[f"{protocol}_bleu"] = found.bleu_counts
        arrays[f"{protocol}_rouge"] = found.studies["ROUGE-L"]
        arrays[f"{protocol}_meteor"] = found.meteor_counts
    with replacing(folder / NAME) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_counts(folder: Path, scores: Mapping[str, Any]) -> dict[str, Scores]:
    """The model's scores under each protocol, as they were before they became scores.json.

    Args:
        folder: holds counts.npz.
        scores: what the scores.json beside it holds.

    Raises:
        UserError: the file is missing or damaged, or the two do not belong together.
    """
    place, needs = str(folder / SCORES), ("num_studies", "references")
    require(ScoresFile, scores, place, _REMEDY, needs)
    arrays = _read(folder / NAME, scores["num_studies"])
    found = {}
    for protocol in PROTOCOLS:
        of_bleu, of_rouge, of_meteor = (arrays[f"{protocol}_{kind}"] for kind in _COLUMNS)
        found[protocol] = scores_from_counts(
            of_bleu, of_rouge, of_meteor, scores["references"][protocol]
        )
    return found


def _read(path: Path, num_studies: int) -> dict[str, np.ndarray]:
    try:
        require_file(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {
                f"{protocol}_{kind}": held[f"{protocol}_{kind}"]
                for protocol in PROTOCOLS
                for kind in _COLUMNS
            }
    except Exception as error:  # of many kinds: no zip, a part that is missing, cut, an object
        raise UserError(
            f"{path}: expected the counts of each study ({type(error).__name__}); {_REMEDY}"
        ) from error
    for name, array in arrays.items():
        wanted = (num_studies, *_COLUMNS[name.split("_")[1]])
        if array.shape != wanted or array.dtype not in (np.int64, np.float64):
            raise UserError(
                f"{path}, {name}: expected {wanted} numbers, found {array.dtype} {array.shape};"
                f" {_REMEDY}"
            )
        if not (np.isfinite(array).all() and (array >= 0).all() and (array <= 1e9).all()):
            raise UserError(f"{path}, {name}: expected counts, found other numbers; {_REMEDY}")
    return arrays
