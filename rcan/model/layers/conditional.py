"""A decoder whose norms are told anew at every word by how much to scale and to shift (R2Gen's
memory-driven conditional layer normalisation, 2010.16056 Eqs. 11-15).

γ̂ = γ + MLP_γ(m_t), β̂ = β + MLP_β(m_t), norm(x) = γ̂ ⊙ (x - μ) / σ + β̂, for the three norms of
each layer; no MLP is shared. What the MLPs say depends on m_t alone: all of a word's are worked out
at once, as one matrix and one batched product. The last norm is a plain one.

Shapes: B studies, K beams, T words, S patches, d model width, w width of m_t, L layers, P = 6L.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rcan.model.layers.transformer import Ancestors, Decoder, DecoderLayer, LayerCache


class ConditionalNorms(nn.Module):
    """γ̂ and β̂ of every norm of `num_layers` layers: all MLPs are w -> d -> d with a ReLU."""

    def __init__(self, width: int, d_model: int, num_layers: int) -> None:
        super().__init__()
        rows = 6 * num_layers * d_model
        self.first = nn.Linear(width, rows)
        self.second = nn.Parameter(torch.empty(rows, d_model))  # P matrices, one below the other
        self.second_bias = nn.Parameter(torch.full((rows,), 0.1))
        self.own = nn.Parameter(
            torch.tensor([1.0, 0.0]).repeat_interleave(d_model).repeat(rows // (2 * d_model))
        )
        self.shape = (num_layers, 3, 2)
        nn.init.constant_(self.first.bias, 0.1)
        for weight in (self.first.weight, self.second):
            for matrix in weight.unflatten(0, (-1, d_model)):
                nn.init.xavier_uniform_(matrix)

    def forward(self, m: Tensor) -> Tensor:
        """m (B, T, w) -> (L, 3, 2, B, T, d): of each layer and norm γ̂, then β̂."""
        d = self.second.shape[1]
        inner = (
            self.first(m).relu_().view(-1, len(self.second) // d, d).transpose(0, 1)
        )  # (P, BT, d)
        own = (self.own + self.second_bias).view(-1, 1, d)
        outer = torch.baddbmm(own, inner, self.second.view(-1, d, d).transpose(1, 2))
        return outer.view(*self.shape, *m.shape[:2], d)


class UnbiasedNorm(nn.LayerNorm):
    """Divides by the unbiased deviation and 1e-6, as R2Gen's code does."""

    def forward(self, x: Tensor) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
        return x if self.weight is None else x * self.weight + self.bias


class ConditionalDecoderLayer(DecoderLayer):
    """A decoder layer; `norms` (3, 2, B, T, d), with K for T in `step`, as `ConditionalNorms`."""

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.norms = nn.ModuleList([nn.LayerNorm(d_model, elementwise_affine=False)])

    def forward(self, x: Tensor, hidden: Tensor, norms: Tensor) -> Tensor:  # type: ignore[override]
        y = self._normed(x, norms[0])
        keys, values = self.self_attention.keys_values(y)
        x = x + self.dropout(self.self_attention(y, keys, values, causal=True))
        return self._look(x, *self.cross_attention.keys_values(hidden), norms)

    def step(  # type: ignore[override]
        self, x: Tensor, cache: LayerCache, ancestors: Tensor, norms: Tensor
    ) -> Tensor:
        y = self._normed(x, norms[0])
        end = ancestors.shape[-1]
        new = slice(end - x.shape[1], end)
        cache.keys[:, :, new], cache.values[:, :, new] = self.self_attention.keys_values(y)
        keys, values = cache.keys[:, :, :end], cache.values[:, :, :end]
        x = x + self.self_attention(y, keys, values, mask=ancestors)
        return self._look(x, cache.cross_keys, cache.cross_values, norms)

    def _look(self, x: Tensor, keys: Tensor, values: Tensor, norms: Tensor) -> Tensor:
        y = self._normed(x, norms[1])
        x = x + self.dropout(self.cross_attention(y, keys, values))
        x = x + self.dropout(self.feed_forward(self._normed(x, norms[2])))
        return x

    def _normed(self, x: Tensor, norm: Tensor) -> Tensor:
        scale, shift = norm
        return torch.addcmul(shift, scale, self.norms[0](x))


class ConditionalDecoder(Decoder):
    """The decoder of such layers; `norms` (L, 3, 2, B, T, d), with K for T in `step`."""

    def __init__(
        self, d_model: int, *, num_layers: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__(d_model, num_layers=0, num_heads=num_heads, d_ff=d_ff, dropout=dropout)
        self.layers.extend(
            ConditionalDecoderLayer(d_model, num_heads, d_ff, dropout) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, hidden: Tensor, norms: Tensor) -> Tensor:  # type: ignore[override]
        for layer, of_layer in zip(self.layers, norms, strict=True):
            x = layer(x, hidden, of_layer)
        x = self.norm(x)
        return x

    def step(  # type: ignore[override]
        self, x: Tensor, caches: Sequence[LayerCache], ancestors: Ancestors, norms: Tensor
    ) -> Tensor:
        ancestors.grow()
        mask = ancestors.mask()
        layers = cast(Iterable[ConditionalDecoderLayer], self.layers)
        for layer, cache, of_layer in zip(layers, caches, norms, strict=True):
            x = layer.step(x, cache, mask, of_layer)
        x = self.norm(x)
        return x
