"""PPKED's writer: one cross-attention a layer, over three sources that gates mix for each word.

MHA(h, I′ + λ₁ ⊙ G′ + λ₂ ⊙ W′),  λ = σ(h W_h ⊕ (I′ W_I + G′ W_G + W′ W_W)) in (0, 1)^{S×2}

λ, one number a patch and source, commutes with the projection to keys and values: K = K_I + λ₁ K_G
+ λ₂ K_W, which are projected once a study. A word mixes their scores, and weighs their values.

Shapes: B studies, K beams, T words, Q of either, S patches, d model width, h heads, d_k = d / h.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.families.ppked.explorers import Explored
from rcan.model.layers.dropout import Dropout, dropout
from rcan.model.layers.transformer import Ancestors, Attention, LayerCache, feed_forward


class Sources(NamedTuple):
    """What a study brings to one layer: I′, G′ and W′ one after the other."""

    keys: Tensor  # (B, h, 3·S, d_k)
    values: Tensor
    gates: Tensor  # (B, S, 2): I′W_I + G′W_G + W′W_W


class GatedAttention(Attention):
    """Attention to the mix of three sources."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__(d_model, num_heads, dropout)
        self.gate_word = nn.Linear(d_model, 2)
        self.gate_sources = nn.Linear(3 * d_model, 2, bias=False)

    def sources(self, explored: Explored) -> Sources:
        together = torch.cat(explored, 1)  # (B, 3·S, d)
        S = explored.posterior.shape[1]

        def project(layer: nn.Linear) -> Tensor:
            mixed, other = F.linear(together, layer.weight).tensor_split([S], 1)
            bias = cast(Tensor, layer.bias)  # once, whatever the gates say
            return self._heads(torch.cat([mixed + bias, other], 1))

        gates = self.gate_sources(torch.cat(explored, 2))
        return Sources(project(self.key), project(self.value), gates)

    def gates(self, x: Tensor, sources: Sources) -> Tensor:
        """λ of words x (B, Q, d): (B, Q, 2, S)."""
        of_words = self.gate_word(x).unsqueeze(3)  # (B, Q, 2, 1)
        gates: Tensor = (of_words + sources.gates.transpose(1, 2).unsqueeze(1)).sigmoid()
        return gates

    def look(self, x: Tensor, sources: Sources) -> tuple[Tensor, Tensor]:
        """x (B, Q, d) -> (B, Q, d), and the shares of the patches (B, h, Q, S)."""
        gates = self.gates(x, sources)
        mix = torch.cat([torch.ones_like(gates[:, :, :1]), gates], 2).unsqueeze(1)
        queries = self._heads(self.query(x))
        queries = queries * queries.shape[-1] ** -0.5
        scores = (queries @ sources.keys.transpose(-1, -2)).unflatten(-1, (3, -1))
        shares = (scores * mix).sum(3).softmax(-1)  # (B, h, Q, S)
        kept = dropout(shares, self.dropout, training=self.training)
        weights = (kept.unsqueeze(3) * mix).flatten(3).to(sources.values.dtype)
        answers: Tensor = self.output((weights @ sources.values).transpose(1, 2).flatten(2))
        return answers, shares


@dataclass
class GatedCache(LayerCache):
    gates: Tensor  # (B, S, 2)

    def keep(self, studies: Tensor) -> None:
        super().keep(studies)
        self.gates = self.gates[studies]


class GatedLayer(nn.Module):
    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(d_model, num_heads, dropout)
        self.cross_attention = GatedAttention(d_model, num_heads, dropout)
        self.feed_forward = feed_forward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, explored: Explored) -> tuple[Tensor, Tensor]:
        """x (B, T, d) -> (B, T, d), and where it looked (B, h, T, S)."""
        y = self.norms[0](x)
        keys, values = self.self_attention.keys_values(y)
        x = x + self.dropout(self.self_attention(y, keys, values, causal=True))
        return self._look_and_feed(x, self.cross_attention.sources(explored))

    def step(self, x: Tensor, cache: GatedCache, ancestors: Tensor) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d); the cache grows by it."""
        y = self.norms[0](x)
        end = ancestors.shape[-1]
        new = slice(end - x.shape[1], end)
        cache.keys[:, :, new], cache.values[:, :, new] = self.self_attention.keys_values(y)
        keys, values = cache.keys[:, :, :end], cache.values[:, :, :end]
        x = x + self.self_attention(y, keys, values, mask=ancestors)
        sources = Sources(cache.cross_keys, cache.cross_values, cache.gates)
        return self._look_and_feed(x, sources)[0]

    def _look_and_feed(self, x: Tensor, sources: Sources) -> tuple[Tensor, Tensor]:
        answers, shares = self.cross_attention.look(self.norms[1](x), sources)
        x = x + self.dropout(answers)
        return x + self.dropout(self.feed_forward(self.norms[2](x))), shares


class GatedDecoder(nn.Module):
    """From embedded words to hidden states; causal."""

    def __init__(
        self, num_layers: int, d_model: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            GatedLayer(d_model, num_heads, d_ff, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, explored: Explored) -> tuple[Tensor, Tensor]:
        """x (B, T, d) -> (B, T, d), and where the last layer looked (B, h, T, S)."""
        for layer in self.layers:
            x, shares = layer(x, explored)
        return self.norm(x), shares

    def start(self, explored: Explored, num_beams: int, max_length: int) -> list[GatedCache]:
        """Empty caches for `num_beams` reports of each study."""
        caches = []
        for layer in self._layers():
            sources = layer.cross_attention.sources(explored)
            B, h, _, d_k = sources.keys.shape
            keys, values = sources.keys.new_empty(2, B, h, max_length * num_beams, d_k)
            caches.append(GatedCache(keys, values, *sources))
        return caches

    def step(self, x: Tensor, caches: Sequence[GatedCache], ancestors: Ancestors) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d)."""
        ancestors.grow()
        mask = ancestors.mask()
        for layer, cache in zip(self._layers(), caches, strict=True):
            x = layer.step(x, cache, mask)
        x = self.norm(x)
        return x

    def _layers(self) -> Iterable[GatedLayer]:
        return cast("Iterable[GatedLayer]", self.layers)
