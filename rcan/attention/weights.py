"""Which patches a report's words come from: cross-attention of the decoder's last layer.

The model keeps no attention weights. A hook takes what goes into that layer and works them out with
the layer's own projections, while the model reads a whole report once (teacher forcing).

Shapes: B studies, T words, S patches, h heads, d_k = d / h.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rcan.data.batches import Batch
from rcan.errors import UserError
from rcan.model.rcan import RCAN
from rcan.model.transformer import Attention, DecoderLayer


def attention_of_reports(
    model: RCAN, batches: Iterable[Batch], reports: Sequence[Sequence[int]], *, pad_id: int
) -> list[np.ndarray]:
    """For each study (words, S): where the model looked when it wrote each word; rows sum to 1.

    `reports`: token ids from bos to eos, one list a study in the order of `batches`, whose own
    tokens are not used.
    """
    found: list[np.ndarray] = []
    for batch in batches:
        some = reports[len(found) : len(found) + len(batch.images)]
        if len(some) < len(batch.images):
            break
        longest = max(map(len, some))
        tokens = torch.tensor([[*ids, *[pad_id] * (longest - len(ids))] for ids in some])
        weights = cross_attention(
            model, *(x.to(model.device) for x in (batch.images, batch.projections, tokens[:, :-1]))
        )
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


def cross_attention(model: RCAN, images: Tensor, projections: Tensor, tokens: Tensor) -> Tensor:
    """(B, T, S): what each position of `tokens` (B, T) reads, as the mean over the heads."""
    assert not model.training, "attention is read in evaluation mode, where nothing is dropped"
    found = []

    def keep_weights(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        x, keys = arguments[:2]
        found.append(attention_weights(cast(Attention, layer), x, keys))

    last = cast(DecoderLayer, model.decoder.layers[-1])
    hook = last.cross_attention.register_forward_pre_hook(keep_weights)
    try:
        with torch.inference_mode():
            model(images, projections, tokens)
    finally:
        hook.remove()
    (weights,) = found
    return weights.mean(1)


def attention_weights(layer: Attention, x: Tensor, keys: Tensor) -> Tensor:
    """softmax(q·k / √d_k): x (B, T, d) asks keys (B, h, S, d_k) -> (B, h, T, S)."""
    queries = layer.query(x).unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)
    scores: Tensor = queries @ keys.transpose(-1, -2) / sqrt(keys.shape[-1])
    return scores.float().softmax(-1)
