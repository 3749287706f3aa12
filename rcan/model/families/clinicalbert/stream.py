"""One stream of patches and words through the same layers.

[CLS] and the patches see each other and never a word, so they are worked out once a study. A word
sees them and words: all of them, or those up to itself.

Shapes: B studies, K beams, P = 1 + S of [CLS] and patches, T words, Q of words or beams, L = P + T
keys, d model width, h heads, d_k = d / h.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from rcan.model.layers.dropout import dropout
from rcan.model.layers.transformer import Ancestors, Attention, EncoderLayer


class Keys(NamedTuple):
    """What is asked in one layer, (B, h, L, d_k) each."""

    keys: Tensor
    values: Tensor


@dataclass
class StreamCache:
    """One layer's keys and values: first the image's; word t of beam k lies at P + t·K + k."""

    keys: Tensor  # (B, h, P + T·K, d_k), filled up to the current word
    values: Tensor

    def keep(self, studies: Tensor) -> None:
        """Go on with these studies alone."""
        self.keys, self.values = self.keys[studies], self.values[studies]


class MaskedAttention(Attention):
    """Attention that tells its shares."""

    def look(self, x: Tensor, asked: Keys, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, Q, d), mask of 0 and -inf for (B, 1, Q, L) -> answers (B, Q, d), (B, h, Q, L)."""
        queries = self._heads(self.query(x))
        scores = queries * queries.shape[-1] ** -0.5 @ asked.keys.transpose(-1, -2)
        shares = (scores if mask is None else scores + mask).softmax(-1)
        kept = dropout(shares, self.dropout, training=self.training).to(asked.values.dtype)
        answers: Tensor = self.output((kept @ asked.values).transpose(1, 2).flatten(2))
        return answers, shares


class StreamLayer(EncoderLayer):
    attention: MaskedAttention

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.attention = MaskedAttention(d_model, num_heads, dropout)

    def read(
        self, x: Tensor, seen: Keys | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Keys, Tensor]:
        """x (B, Q, d) sees what is `seen`, then itself -> the new x, what was asked, shares."""
        y = self.norms[0](x)
        own = self.attention.keys_values(y)
        asked = Keys(*own) if seen is None else Keys(*map(_join, seen, own))
        x, shares = self._feed(x, y, asked, mask)
        return x, asked, shares

    def step(self, x: Tensor, cache: StreamCache, mask: Tensor) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d); the cache grows by it."""
        y = self.norms[0](x)
        end = mask.shape[-1]
        new = slice(end - x.shape[1], end)
        cache.keys[:, :, new], cache.values[:, :, new] = self.attention.keys_values(y)
        asked = Keys(cache.keys[:, :, :end], cache.values[:, :, :end])
        return self._feed(x, y, asked, mask)[0]

    def _feed(
        self, x: Tensor, y: Tensor, asked: Keys, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        answers, shares = self.attention.look(y, asked, mask)
        x = x + self.dropout(answers)
        return x + self.dropout(self.feed_forward(self.norms[1](x))), shares


def _join(seen: Tensor, own: Tensor) -> Tensor:
    return torch.cat([seen, own], 2)


class Stream(nn.Module):
    def __init__(
        self, num_layers: int, d_model: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            StreamLayer(d_model, num_heads, d_ff, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def see(self, x: Tensor) -> tuple[Tensor, list[Keys]]:
        """[CLS] and patches (B, P, d) -> their states (B, P, d), and the keys of each layer."""
        seen = []
        for layer in self._layers():
            x, keys, _ = layer.read(x)
            seen.append(keys)
        return self.norm(x), seen

    def read(self, x: Tensor, seen: Sequence[Keys], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Words (B, T, d) -> states (B, T, d), the last layer's shares (B, h, T, P + T)."""
        for layer, keys in zip(self._layers(), seen, strict=True):
            x, _, shares = layer.read(x, keys, mask)
        return self.norm(x), shares

    def start(self, seen: Sequence[Keys], num_beams: int, max_length: int) -> list[StreamCache]:
        """Caches with the image in them, for `num_beams` reports of each study."""
        caches = []
        for keys in seen:
            B, h, _, d_k = keys.keys.shape
            room = keys.keys.new_empty(2, B, h, max_length * num_beams, d_k)
            caches.append(StreamCache(*map(_join, keys, room)))
        return caches

    def step(
        self, x: Tensor, caches: Sequence[StreamCache], ancestors: Ancestors, num_seen: int
    ) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d); num_seen: P."""
        ancestors.grow()
        mask = nn.functional.pad(ancestors.mask(), (num_seen, 0))  # 0: all see the image
        for layer, cache in zip(self._layers(), caches, strict=True):
            x = layer.step(x, cache, mask)
        x = self.norm(x)
        return x

    def _layers(self) -> Iterable[StreamLayer]:
        return cast("Iterable[StreamLayer]", self.layers)


def causal_mask(num_words: int, num_seen: int, device: torch.device) -> Tensor:
    """(1, 1, T, P + T): a word sees the image and the words up to itself."""
    future = torch.full((num_words, num_words), float("-inf"), device=device).triu(1)
    return nn.functional.pad(future, (num_seen, 0))[None, None]


def padding_mask(is_word: Tensor, num_seen: int) -> Tensor:
    """(B, 1, 1, P + T): a word sees the image and all words, is_word (B, T)."""
    padded = torch.zeros_like(is_word, dtype=torch.float32).masked_fill(~is_word, float("-inf"))
    return nn.functional.pad(padded, (num_seen, 0))[:, None, None]
