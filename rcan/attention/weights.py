"""Which patches a report's words come from, while the model reads it once (teacher forcing).

Shapes: B studies, T words, S patches.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from rcan.data.batches import Batch
from rcan.errors import UserError
from rcan.model.interface import ReportModel


def attention_of_reports(
    model: ReportModel, batches: Iterable[Batch], reports: Sequence[Sequence[int]], *, pad_id: int
) -> list[np.ndarray]:
    """For each study (words, S): where the model looked when it wrote each word; rows sum to 1.

    `reports`: token ids from bos to eos, one list a study in the order of `batches`, whose own
    tokens are not used. Raises `UserError` if a report is missing, or the model looks nowhere.
    """
    found: list[np.ndarray] = []
    for batch in batches:
        some = reports[len(found) : len(found) + len(batch.images)]
        if len(some) < len(batch.images):
            break
        longest = max(map(len, some))
        tokens = torch.tensor([[*ids, *[pad_id] * (longest - len(ids))] for ids in some])
        weights = model.attention(batch._replace(tokens=tokens).to(model.device))
        if weights is None:
            raise UserError("this model has no attention to draw: it does not look at patches")
        # Row t is read with word t - 1 as the newest and writes word t; the last one writes eos.
        found += [
            rows[: len(ids) - 2].float().cpu().numpy()
            for rows, ids in zip(weights, some, strict=True)
        ]
    else:
        if len(found) == len(reports):
            return found
    raise UserError(
        f"expected one report for each study; got {len(reports)} reports for other studies; "
        "run the evaluation again"
    )
