"""The Transformer of the report generator (§3.5): pre-norm encoder and decoder, 8 heads as §4.1.2.

The decoder runs in two ways that give the same numbers: over whole reports (`forward`), and one
word at a time over beams (`step`), with the self-attention's keys and values kept in a cache and
the cross-attention's projected once a study and shared by its beams.

Shapes: B studies, K beams, R rows (reports; B·K when generating), T words, S patches,
d model width, h heads, d_k = d / h.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be projected ahead of the queries."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.query, self.key, self.value, self.output = (
            nn.Linear(d_model, d_model) for _ in range(4)
        )

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (R, L, d) -> keys, values (R, h, L, d_k)."""
        return self._heads(self.key(x)), self._heads(self.value(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, *, causal: bool = False) -> Tensor:
        """x (R, Q, d) asks keys and values (R, h, L, d_k) -> (R, Q, d)."""
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(
            self._heads(self.query(x)), keys, values, dropout_p=dropout, is_causal=causal
        )
        return self.output(y.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def feed_forward(d_model: int, d_ff: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear."""
    return nn.Sequential(
        nn.Linear(d_model, d_ff), nn.ReLU(), nn.Dropout(dropout), nn.Linear(d_ff, d_model)
    )


class EncoderLayer(nn.Module):
    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(d_model, num_heads, dropout)
        self.feed_forward = feed_forward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (B, S, d)
        y = self.norms[0](x)
        x = x + self.dropout(self.attention(y, *self.attention.keys_values(y)))
        return x + self.dropout(self.feed_forward(self.norms[1](x)))


class Encoder(nn.Module):
    """f_e of Eq. 20: patch features (B, S, d) -> hidden states (B, S, d)."""

    def __init__(
        self, d_model: int, *, num_layers: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, num_heads, d_ff, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class DecoderLayer(nn.Module):
    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(d_model, num_heads, dropout)
        self.cross_attention = Attention(d_model, num_heads, dropout)
        self.feed_forward = feed_forward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:  # (B, T, d), (B, S, d)
        y = self.norms[0](x)
        keys, values = self.self_attention.keys_values(y)
        x = x + self.dropout(self.self_attention(y, keys, values, causal=True))
        return self._look_and_feed(x, *self.cross_attention.keys_values(hidden))

    def step(self, x: Tensor, cache: "LayerCache", position: int) -> Tensor:
        """The word at `position` of every beam: x (B, K, d) -> (B, K, d); the cache grows by it."""
        B, K, d = x.shape
        y = self.norms[0](x).view(B * K, 1, d)
        keys, values = self.self_attention.keys_values(y)
        cache.keys[:, :, position : position + 1] = keys
        cache.values[:, :, position : position + 1] = values
        so_far = slice(0, position + 1)
        y = self.self_attention(y, cache.keys[:, :, so_far], cache.values[:, :, so_far])
        return self._look_and_feed(x + y.view(B, K, d), cache.cross_keys, cache.cross_values)

    def _look_and_feed(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Cross-attention and feed-forward; words and beams alike are queries of their study."""
        x = x + self.dropout(self.cross_attention(self.norms[1](x), keys, values))
        return x + self.dropout(self.feed_forward(self.norms[2](x)))


@dataclass
class LayerCache:
    """One decoder layer's keys and values."""

    keys: Tensor  # (B·K, h, T, d_k), filled up to the current position
    values: Tensor
    cross_keys: Tensor  # (B, h, S, d_k)
    cross_values: Tensor

    def reorder(self, rows: Tensor, length: int) -> None:
        """Row i becomes row `rows[i]`, as far as the cache is filled."""
        for cache in (self.keys, self.values):
            cache[:, :, :length] = cache[rows, :, :length]


class Decoder(nn.Module):
    """f_d of Eq. 21, from embedded words to hidden states; causal."""

    def __init__(
        self, d_model: int, *, num_layers: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, num_heads, d_ff, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """x (B, T, d), hidden (B, S, d) -> (B, T, d)."""
        for layer in self.layers:
            x = layer(x, hidden)
        return self.norm(x)

    def start(self, hidden: Tensor, num_beams: int, max_length: int) -> list[LayerCache]:
        """Empty caches for `num_beams` reports of each study, hidden (B, S, d)."""
        caches = []
        for layer in self.layers:
            keys, values = layer.cross_attention.keys_values(hidden)
            B, h, _, d_k = keys.shape
            empty = keys.new_empty(2, B * num_beams, h, max_length, d_k)
            caches.append(LayerCache(empty[0], empty[1], keys, values))
        return caches

    def step(self, x: Tensor, caches: Sequence[LayerCache], position: int) -> Tensor:
        """x (B, K, d), the words at `position` -> (B, K, d)."""
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer.step(x, cache, position)
        return self.norm(x)


def sinusoids(length: int, d_model: int) -> Tensor:
    """Sinusoidal positions (length, d): pairs of sine and cosine at falling frequencies."""
    place = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    frequency = 10000 ** (-torch.arange(0, d_model, 2, dtype=torch.float32) / d_model)
    angles = place * frequency  # (length, d / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
