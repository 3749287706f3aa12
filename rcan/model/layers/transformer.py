"""The Transformer of the report generator (§3.5): pre-norm encoder and decoder, 8 heads as §4.1.2.

The decoder runs in two ways that give the same numbers: over whole reports (`forward`), and one
word at a time over beams (`step`). For that, keys and values of every word of every beam are kept
where they were written, and when the search goes on from other beams only the note of who descends
from whom changes; those of the patches are projected once a study and shared by its beams.

Shapes: B studies, K beams, T words, S patches, R rows (studies or reports), d model width, h heads,
d_k = d / h.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.layers.dropout import Dropout, dropout


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

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, *,
        causal: bool = False, mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """x (R, Q, d) asks keys and values (R, h, L, d_k) -> (R, Q, d).

        `mask` (R, 1, Q, L) is added to the scores.
        """
        queries = self._heads(self.query(x))
        p = self.dropout if self.training else 0.0
        if (
            p and mask is None and x.device.type == "cpu"
        ):  # no fused kernel of torch's drops weights there
            y = self._with_dropout(queries, keys, values, p, causal)
        else:
            y = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, dropout_p=p, is_causal=causal
            )
        answers: Tensor = self.output(y.transpose(1, 2).flatten(2))
        return answers

    @staticmethod
    def _with_dropout(
        queries: Tensor, keys: Tensor, values: Tensor, p: float, causal: bool
    ) -> Tensor:
        """(R, h, Q, d_k) asks (R, h, L, d_k), step by step."""
        scores = queries * queries.shape[-1] ** -0.5 @ keys.transpose(-1, -2)  # (R, h, Q, L)
        if causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        return dropout(scores.softmax(-1), p, training=True).to(values.dtype) @ values

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        return heads


def feed_forward(d_model: int, d_ff: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear."""
    return nn.Sequential(
        nn.Linear(d_model, d_ff), nn.ReLU(), Dropout(dropout), nn.Linear(d_ff, d_model)
    )


class EncoderLayer(nn.Module):
    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(d_model, num_heads, dropout)
        self.feed_forward = feed_forward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (B, S, d)
        y = self.norms[0](x)
        x = x + self.dropout(self.attention(y, *self.attention.keys_values(y)))
        x = x + self.dropout(self.feed_forward(self.norms[1](x)))
        return x


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
        x = self.norm(x)
        return x


class DecoderLayer(nn.Module):
    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(d_model, num_heads, dropout)
        self.cross_attention = Attention(d_model, num_heads, dropout)
        self.feed_forward = feed_forward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:  # (B, T, d), (B, S, d)
        y = self.norms[0](x)
        keys, values = self.self_attention.keys_values(y)
        x = x + self.dropout(self.self_attention(y, keys, values, causal=True))
        return self._look_and_feed(x, *self.cross_attention.keys_values(hidden))

    def step(self, x: Tensor, cache: "LayerCache", ancestors: Tensor) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d); the cache grows by it.

        `ancestors` (B, 1, K, t·K) as `Ancestors.mask` gives it.
        """
        y = self.norms[0](x)
        end = ancestors.shape[-1]
        new = slice(end - x.shape[1], end)
        cache.keys[:, :, new], cache.values[:, :, new] = self.self_attention.keys_values(y)
        keys, values = cache.keys[:, :, :end], cache.values[:, :, :end]
        x = x + self.self_attention(y, keys, values, mask=ancestors)
        return self._look_and_feed(x, cache.cross_keys, cache.cross_values)

    def _look_and_feed(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Cross-attention and feed-forward; words and beams alike are queries of their study."""
        x = x + self.dropout(self.cross_attention(self.norms[1](x), keys, values))
        x = x + self.dropout(self.feed_forward(self.norms[2](x)))
        return x


@dataclass
class LayerCache:
    """One decoder layer's keys and values: word t of beam k lies at t·K + k and never moves."""

    keys: Tensor  # (B, h, T·K, d_k), filled up to the current word
    values: Tensor
    cross_keys: Tensor  # (B, h, S, d_k)
    cross_values: Tensor

    def keep(self, studies: Tensor) -> None:
        """Go on with these studies alone."""
        self.keys, self.values = self.keys[studies], self.values[studies]
        self.cross_keys, self.cross_values = self.cross_keys[studies], self.cross_values[studies]


class Ancestors:
    """Which of the cached words each beam descends from."""

    def __init__(self, num_studies: int, num_beams: int, max_length: int, like: Tensor) -> None:
        self._mask = like.new_full((num_studies, num_beams, max_length * num_beams), float("-inf"))
        self._own = like.new_full((num_beams, num_beams), float("-inf")).fill_diagonal_(0.0)
        self._end = 0

    def mask(self) -> Tensor:
        """0 where beam k of a study descends from a word, else -inf: (B, 1, K, t·K)."""
        return self._mask[:, None, :, : self._end]

    def grow(self) -> None:
        """One more word of every beam."""
        K = len(self._own)
        self._mask[:, :, self._end : self._end + K] = self._own
        self._end += K

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from its beam `beams[b, k]`."""
        so_far = self._mask[:, :, : self._end]
        so_far.copy_(so_far.gather(1, beams.unsqueeze(-1).expand(-1, -1, self._end)))

    def keep(self, studies: Tensor) -> None:
        """Go on with these studies alone."""
        self._mask = self._mask[studies]


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
        x = self.norm(x)
        return x

    def start(self, hidden: Tensor, num_beams: int, max_length: int) -> list[LayerCache]:
        """Empty caches for `num_beams` reports of each study, hidden (B, S, d)."""
        caches = []
        for layer in self._layers():
            cross_keys, cross_values = layer.cross_attention.keys_values(hidden)
            B, h, _, d_k = cross_keys.shape
            keys, values = cross_keys.new_empty(2, B, h, max_length * num_beams, d_k)
            caches.append(LayerCache(keys, values, cross_keys, cross_values))
        return caches

    def step(self, x: Tensor, caches: Sequence[LayerCache], ancestors: Ancestors) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d)."""
        ancestors.grow()
        mask = ancestors.mask()
        for layer, cache in zip(self._layers(), caches, strict=True):
            x = layer.step(x, cache, mask)
        x = self.norm(x)
        return x

    def _layers(self) -> Iterable[DecoderLayer]:
        """The layers by their own type, which a `ModuleList` does not tell."""
        return cast("Iterable[DecoderLayer]", self.layers)


def sinusoids(length: int, d_model: int) -> Tensor:
    """Sinusoidal positions (length, d): pairs of sine and cosine at falling frequencies."""
    place = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    frequency = 10000 ** (-torch.arange(0, d_model, 2, dtype=torch.float32) / d_model)
    angles = place * frequency  # (length, d / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@contextmanager
def last_cross_attention(decoder: Decoder) -> Iterator[list[Tensor]]:
    """A list that gets the weights (R, h, T, S) of the decoder's last cross-attention, worked out
    anew from what goes into it: the model keeps none."""
    found: list[Tensor] = []

    def keep_weights(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        x, keys = arguments[:2]
        found.append(attention_weights(cast(Attention, layer), x, keys))

    last = cast(DecoderLayer, decoder.layers[-1]).cross_attention
    hook = last.register_forward_pre_hook(keep_weights)
    try:
        yield found
    finally:
        hook.remove()


def attention_weights(layer: Attention, x: Tensor, keys: Tensor) -> Tensor:
    """softmax(q·k / √d_k): x (R, T, d) asks keys (R, h, S, d_k) -> (R, h, T, S)."""
    queries = layer.query(x).unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)
    scores: Tensor = queries @ keys.transpose(-1, -2) / sqrt(keys.shape[-1])
    return scores.float().softmax(-1)
