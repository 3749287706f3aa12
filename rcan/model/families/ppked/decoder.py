"""PPKED's writer: one cross-attention a layer, over three sources that gates mix for each word.

MHA(h, I′ + λ₁ ⊙ G′ + λ₂ ⊙ W′),  λ = σ(h W_h ⊕ (I′ W_I + G′ W_G + W′ W_W)) in (0, 1)^{S×2}

λ, one number a patch and source, commutes with the projection to keys and values: K = K_I + λ₁ K_G
+ λ₂ K_W, which are projected once a study. A word mixes their scores, and weighs their values.

Shapes: B studies, T words (or K beams), S patches, d model width, h heads, d_k = d / h.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.layers.dropout import dropout
from rcan.model.layers.transformer import Attention, Decoder, DecoderLayer


class GatedAttention(Attention):
    """Attention to the mix of three sources.

    A study's values (B, h, 3·S, d_k + 1) end with what its patches say to the gates, a number of
    each patch of G′ and of W′ in the place where its value is.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__(d_model, num_heads, dropout)
        self.gate_word = nn.Linear(d_model, 2)
        self.gate_sources = nn.Linear(3 * d_model, 2, bias=False)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, 3·S, d), I′, G′ and W′ one after the other -> keys (B, h, 3·S, d_k), values."""
        S = x.shape[1] // 3

        def project(layer: nn.Linear) -> Tensor:
            mixed, other = F.linear(x, layer.weight).tensor_split([S], 1)
            bias = cast(Tensor, layer.bias)  # once, whatever the gates say
            return self._heads(torch.cat([mixed + bias, other], 1))

        keys, values = project(self.key), project(self.value)
        gates = self.gate_sources(torch.cat(x.chunk(3, 1), 2))  # (B, S, 2)
        gates = F.pad(gates.transpose(1, 2).flatten(1), (S, 0))  # I′ has none
        gates = gates[:, None, :, None].expand(-1, values.shape[1], -1, -1)
        return keys, torch.cat([values, gates], 3)

    def gates(self, x: Tensor, values: Tensor) -> Tensor:
        """λ of words x (B, T, d): (B, T, 2, S)."""
        of_patches = values[:, :1, :, -1].unflatten(2, (3, -1))[:, :, 1:]  # (B, 1, 2, S)
        gates: Tensor = (self.gate_word(x).unsqueeze(3) + of_patches).sigmoid()
        return gates

    def look(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of the patches (B, h, T, S), and the gates, I′'s too: (B, 1, T, 3, S)."""
        gates = self.gates(x, values)
        mix = torch.cat([torch.ones_like(gates[:, :, :1]), gates], 2).unsqueeze(1)
        queries = self._heads(self.query(x))
        queries = queries * queries.shape[-1] ** -0.5
        scores = (queries @ keys.transpose(-1, -2)).unflatten(-1, (3, -1))
        return (scores * mix).sum(3).softmax(-1), mix

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, *,
        causal: bool = False, mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """x (B, T, d) -> (B, T, d); all words see all patches."""
        assert not causal and mask is None
        shares, mix = self.look(x, keys, values)
        kept = dropout(shares, self.dropout, training=self.training)
        weights = (kept.unsqueeze(3) * mix).flatten(3).to(values.dtype)
        answers: Tensor = self.output((weights @ values[..., :-1]).transpose(1, 2).flatten(2))
        return answers


class GatedDecoder(Decoder):
    """From embedded words (B, T, d) and all three sources (B, 3·S, d) to hidden states."""

    def __init__(
        self, d_model: int, *, num_layers: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__(
            d_model, num_layers=num_layers, num_heads=num_heads, d_ff=d_ff, dropout=dropout
        )
        for layer in self.layers:
            cast(DecoderLayer, layer).cross_attention = GatedAttention(d_model, num_heads, dropout)
