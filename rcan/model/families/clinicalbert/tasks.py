"""What Clinical-BERT learns before it writes: masked words, and which words are of which image.

CD: topics are told from [CLS]. MMM, MLM: words that were hidden are told, those of labels (in the
place of MeSH's) and others. IMM: a study's label words fit its image better than another's.

Shapes: B studies, S patches, T words, m label words, L topics, d model width, Y vocabulary.
"""

from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Hidden(NamedTuple):
    """Words as they are read when some are hidden, (B, T) each."""

    tokens: Tensor
    chosen: Tensor  # whether it is to be told
    masked: Tensor  # whether [MASK] is read in its place


def hide(tokens: Tensor, kinds: Tensor, mask_words: float, mask_mesh: float) -> Hidden:
    """Choose words (kind 1) and label words (kind 2), each with its probability; of the chosen 80 %
    are masked, 10 % become any word, 10 % stay (BERT, 1810.04805). kinds (Y,)."""
    rates = torch.tensor([0.0, mask_words, mask_mesh], device=tokens.device)
    kind = kinds[tokens].long()
    chosen, how = torch.rand(2, *tokens.shape, device=tokens.device)
    is_chosen = chosen < rates[kind]
    words = (kinds > 0).nonzero().squeeze(1)
    others = words[torch.randint(len(words), tokens.shape, device=tokens.device)]
    read = torch.where(is_chosen & (how >= 0.8) & (how < 0.9), others, tokens)
    return Hidden(read, is_chosen, is_chosen & (how < 0.8))


def sparsemax(z: Tensor) -> Tensor:
    """The point of the simplex nearest to each row (Martins & Astudillo, 1602.02068); dim -1."""
    falling = z.sort(-1, descending=True).values
    ranks = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    sums = falling.cumsum(-1)
    number = (1 + ranks * falling > sums).sum(-1, keepdim=True)
    return (z - (sums.gather(-1, number - 1) - 1) / number).relu()


class Matching(nn.Module):
    """How well label words fit an image: sparse attention from each to patches, then over words."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.word, self.patch = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.weigh = nn.Linear(d_model, 1, bias=False)

    def forward(self, words: Tensor, there: Tensor, patches: Tensor) -> Tensor:
        """words (B, m, d), there (B, m) bool, patches (B, S, d) -> scores (B,) in [-1, 1]."""
        with torch.autocast(words.device.type, enabled=False):
            q, k = self.word(words.float()), self.patch(patches.float())
            shares = sparsemax(q @ k.transpose(1, 2) / sqrt(q.shape[-1]))  # (B, m, S)
            fits = F.cosine_similarity(q, shares @ k, dim=-1)
            weights = self.weigh(q).squeeze(-1).masked_fill(~there, -1e4)
            scores: Tensor = (sparsemax(weights) * fits).sum(-1)
            return scores


def matching_losses(
    matching: Matching, words: Tensor, mesh: Tensor, patches: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """max(0, margin - s(words, own image) + s(words, the study before's image)), (B,), the first's
    being the last; and whether it counts: of studies with label words, mesh (B, m) of ids and 0s,
    of which the other has others."""
    there = mesh > 0
    own = matching(words, there, patches)
    other = matching(words, there, patches.roll(1, 0))
    return (margin - own + other).relu(), there.any(1) & (mesh != mesh.roll(1, 0)).any(1)
