"""Families whose decoder's norms are told anew at every word by how much to scale and to shift
(R2Gen's memory-driven conditional layer normalisation, 2010.16056 Eqs. 11-15).

γ̂ = γ + MLP_γ(m_t), β̂ = β + MLP_β(m_t), norm(x) = γ̂ ⊙ (x - μ) / σ + β̂, for the three norms of
each layer; no MLP is shared. What the MLPs say depends on m_t alone: all of a word's are worked out
at once, as one matrix and one batched product. The last norm is a plain one.

Shapes: B studies, K beams, T words, S patches, d model width, w width of m_t, L layers, P = 6L.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.model.interface import NOTHING, Batch, Knowledge, Output, State
from rcan.model.layers.state import write
from rcan.model.layers.transformer import Decoder, DecoderLayer, LayerCache
from rcan.model.layers.transformer_model import DecoderState, Prepared, TransformerModel, xavier


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

    def added(self) -> Tensor:
        """What is added to every word's, whatever it is."""
        return self.own + self.second_bias

    def forward(self, m: Tensor, added: Tensor | None = None) -> Tensor:
        """m (B, T, w) -> (L, 3, 2, B, T, d): of each layer and norm γ̂, then β̂."""
        d = self.second.shape[1]
        inner = (
            self.first(m).relu_().view(-1, len(self.second) // d, d).transpose(0, 1)
        )  # (P, BT, d)
        added = (self.added() if added is None else added).view(-1, 1, d)
        outer = torch.baddbmm(added, inner, self.second.view(-1, d, d).transpose(1, 2))
        return outer.view(*self.shape, *m.shape[:2], d)


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
        new = self.self_attention.keys_values(y)
        keys, values = write(cache, new, ancestors.shape[-1])
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
        self, x: Tensor, caches: Sequence[LayerCache], mask: Tensor, norms: Tensor
    ) -> Tensor:
        """`mask`: of `Ancestors`, grown by the new words."""
        layers = cast(Iterable[ConditionalDecoderLayer], self.layers)
        for layer, cache, of_layer in zip(layers, caches, norms, strict=True):
            x = layer.step(x, cache, mask, of_layer)
        x = self.norm(x)
        return x


class Memory(nn.Module):
    """Base of what drives the norms. `width`: of m_t."""

    width: int

    def forward(self, y: Tensor) -> Tensor:
        """m_t after each of the words y (B, T, d), of these and those before: (B, T, w)."""
        raise NotImplementedError

    def prepare(self) -> Any:
        """What all words share."""

    def before(self, num_studies: int, num_beams: int, max_length: int, prepared: Any) -> State:
        """Before the first word of so many reports of each study."""
        raise NotImplementedError

    def step(
        self, tokens: Tensor, y: Tensor, state: Any, mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """One word more of every beam, which `state` takes in: tokens (B, K), y (B, K, d).

        Returns m_t (B, K, w) and None; or that of n texts (1, n, w), and which of them each beam
        has written, (B, K). `mask` (B, 1, K, t·K) as `Ancestors.mask` gives it, the new words
        included.
        """
        raise NotImplementedError


class OfWords(NamedTuple):
    """What norms and memory have for all words alike."""

    added: Tensor  # by `ConditionalNorms.added`
    memory: Any


class ConditionalModel(TransformerModel):
    """Base of families that are an encoder, a memory of the words so far, and a decoder whose norms
    it drives. `two_dropouts`: memory and decoder read words dropped differently."""

    decoder: ConditionalDecoder

    def __init__(
        self, settings: Settings, vocabulary_size: int, encoder: nn.Module, memory: Memory, *,
        two_dropouts: bool, patch_dropout: float, pretrained: bool, knowledge: Knowledge = NOTHING,
    ) -> None:  # fmt: skip
        model = settings.model
        decoder = ConditionalDecoder(
            model.d_model, num_layers=model.num_decoder_layers, num_heads=model.num_heads,
            d_ff=model.d_ff, dropout=model.dropout,
        )  # fmt: skip
        super().__init__(
            settings, vocabulary_size, decoder, pretrained=pretrained, knowledge=knowledge,
            patch_dropout=patch_dropout,
        )  # fmt: skip
        self.encoder, self.memory, self.two_dropouts = encoder, memory, two_dropouts
        self.norms = ConditionalNorms(memory.width, model.d_model, model.num_decoder_layers)
        xavier(self.encoder)

    def encode(self, patches: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Patch features (B, S, d) -> what the decoder looks at, (B, S, d), and the output's
        parts."""
        return self.encoder(patches), {}

    def forward(self, batch: Batch) -> Output:
        hidden, parts = self.encode(self.visual(batch.images, batch.projections).patches)
        y = self.embed(batch.tokens[:, :-1])
        read = self.dropout(y)
        norms = self.norms(self.memory(read))
        written = self.dropout(y) if self.two_dropouts else read
        return Output(self.classifier(self.decoder(written, hidden, norms)), parts)

    def look(self, images: Tensor, projections: Tensor, prepared: Prepared) -> Tensor:
        return self.encode(self.visual(images, projections, prepared.cnn).patches)[0]

    def prepare(self) -> Prepared:
        own = OfWords(self.norms.added(), self.memory.prepare())
        return super().prepare()._replace(own=own)

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> DecoderState:
        state = super().start(images, projections, num_beams, prepared)
        of_memory = prepared.own.memory
        state.more = [self.memory.before(len(images), num_beams, self.max_length + 1, of_memory)]
        return state

    def decode(self, tokens: Tensor, y: Tensor, state: DecoderState) -> Tensor:
        state.ancestors.grow()
        mask = state.ancestors.mask()
        m, texts = self.memory.step(tokens, y, state.more[0], mask)
        norms = self.norms(m, state.prepared.own.added)
        if texts is not None:
            norms = norms[:, :, :, 0, texts]
        return self.decoder.step(y, state.caches, mask, norms)
