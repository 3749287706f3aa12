"""One stream of patches and words through the same layers.

[CLS] and the patches see each other and never a word, so they are worked out once a study. A word
sees them and words: all of them, or those up to itself.

Shapes: B studies, K beams, P = 1 + S of [CLS] and patches, T words, Q of words or beams, L = P + T
keys, d model width, h heads, d_k = d / h.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from rcan.model.layers.dropout import dropout
from rcan.model.layers.state import write
from rcan.model.layers.transformer import Ancestors, Attention, Decoder, EncoderLayer, LayerCache


class Keys(NamedTuple):
    """What is asked in one layer, (B, h, L, d_k) each."""

    keys: Tensor
    values: Tensor


class MaskedAttention(Attention):
    """Attention that tells its shares, and with a mask is sooner in training on a CPU."""

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, *,
        causal: bool = False, mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        if mask is None or not self.training or x.device.type != "cpu":
            return super().forward(x, keys, values, causal=causal, mask=mask)
        kept = dropout(self.shares(x, keys, mask), self.dropout, training=True)
        answers: Tensor = self.output((kept.to(values.dtype) @ values).transpose(1, 2).flatten(2))
        return answers

    def shares(self, x: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """x (B, Q, d), mask of 0 and -inf for (B, 1, Q, L) -> (B, h, Q, L)."""
        queries = self._heads(self.query(x))
        scores = queries * queries.shape[-1] ** -0.5 @ keys.transpose(-1, -2)
        shares: Tensor = (scores + mask).softmax(-1)
        return shares


class StreamLayer(EncoderLayer):
    attention: MaskedAttention

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__(d_model, num_heads, d_ff, dropout)
        self.attention = MaskedAttention(d_model, num_heads, dropout)

    def read(
        self, x: Tensor, seen: Keys | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Keys]:
        """x (B, Q, d) sees what is `seen`, then itself -> the new x, and what was asked."""

        def join(*own: Tensor) -> Keys:
            return Keys(*own) if seen is None else Keys(*map(_join, seen, own))

        return self._read(x, join, mask)

    def step(self, x: Tensor, cache: LayerCache, ancestors: Tensor) -> Tensor:
        """The newest word of every beam, x (B, K, d) -> (B, K, d); the cache grows by it."""
        end = ancestors.shape[-1]
        return self._read(x, lambda *new: Keys(*write(cache, new, end)), ancestors)[0]

    def _read(
        self, x: Tensor, join: Callable[[Tensor, Tensor], Keys], mask: Tensor | None
    ) -> tuple[Tensor, Keys]:
        y = self.norms[0](x)
        asked = join(*self.attention.keys_values(y))
        x = x + self.dropout(self.attention(y, *asked, mask=mask))
        return x + self.dropout(self.feed_forward(self.norms[1](x))), asked


def _join(seen: Tensor, own: Tensor) -> Tensor:
    return torch.cat([seen, own], 2)


class Stream(Decoder):
    """A decoder of words without cross-attention, whose layers see the image among the words."""

    def __init__(
        self, d_model: int, *, num_layers: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__(d_model, num_layers=0, num_heads=num_heads, d_ff=d_ff, dropout=dropout)
        self.layers.extend(
            StreamLayer(d_model, num_heads, d_ff, dropout) for _ in range(num_layers)
        )

    def see(self, x: Tensor) -> tuple[Tensor, list[Keys]]:
        """[CLS] and patches (B, P, d) -> their states (B, P, d), and the keys of each layer."""
        seen = []
        for layer in self._stream():
            x, keys = layer.read(x)
            seen.append(keys)
        return self.norm(x), seen

    def forward(self, x: Tensor, seen: Sequence[Keys], mask: Tensor) -> Tensor:  # type: ignore[override]
        """Words (B, T, d) -> states (B, T, d)."""
        for layer, keys in zip(self._stream(), seen, strict=True):
            x, _ = layer.read(x, keys, mask)
        x = self.norm(x)
        return x

    def start(self, hidden: Tensor, num_beams: int, max_length: int) -> list[LayerCache]:
        """Caches for `num_beams` reports of each study: of [CLS] and patches, hidden (B, P, d).

        Word t of beam k lies at P + t·K + k.
        """
        caches = []
        for seen in self.see(hidden)[1]:
            B, h, _, d_k = seen.keys.shape
            room = Keys(*seen.keys.new_empty(2, B, h, max_length * num_beams, d_k))
            keys, values = map(_join, seen, room)
            caches.append(LayerCache(keys, values, *seen))
        return caches

    def _stream(self) -> Iterable[StreamLayer]:
        return cast("Iterable[StreamLayer]", self.layers)


class AncestorsAndImage(Ancestors):
    """Every beam descends from the image too, whose P keys lie before those of words."""

    def __init__(
        self, num_seen: int, num_studies: int, num_beams: int, max_length: int, like: Tensor
    ) -> None:
        super().__init__(num_studies, num_beams, max_length, like)
        self._mask, self._end = nn.functional.pad(self._mask, (num_seen, 0)), num_seen


def causal_mask(num_words: int, num_seen: int, device: torch.device) -> Tensor:
    """(1, 1, T, P + T): a word sees the image and the words up to itself."""
    future = torch.full((num_words, num_words), float("-inf"), device=device).triu(1)
    return nn.functional.pad(future, (num_seen, 0))[None, None]


def padding_mask(is_word: Tensor, num_seen: int) -> Tensor:
    """(B, 1, 1, P + T): a word sees the image and all words, is_word (B, T)."""
    padded = torch.zeros_like(is_word, dtype=torch.float32).masked_fill(~is_word, float("-inf"))
    return nn.functional.pad(padded, (num_seen, 0))[:, None, None]
