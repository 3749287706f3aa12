"""Families whose decoder's norms are told anew at every word by how much to scale and to shift
(R2Gen's memory-driven conditional layer normalisation, 2010.16056 Eqs. 11-15).

γ̂ = γ + MLP_γ(m_t), β̂ = β + MLP_β(m_t), norm(x) = γ̂ ⊙ (x - μ) / σ + β̂, for the three norms of
each layer; no MLP is shared. What the MLPs say depends on m_t alone: all of a word's are worked out
at once, as one matrix and one batched product. The last norm is a plain one.

Shapes: B studies, K beams, T words, S patches, d model width, w width of m_t, L layers, P = 6L.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.model.interface import NOTHING, Batch, Knowledge, Output, ReportModel
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.transformer import (
    Ancestors,
    Decoder,
    DecoderLayer,
    LayerCache,
    last_cross_attention,
    sinusoids,
)
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


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
        self, x: Tensor, caches: Sequence[LayerCache], mask: Tensor, norms: Tensor
    ) -> Tensor:
        """`mask`: of `Ancestors`, grown by the new words."""
        layers = cast(Iterable[ConditionalDecoderLayer], self.layers)
        for layer, cache, of_layer in zip(layers, caches, norms, strict=True):
            x = layer.step(x, cache, mask, of_layer)
        x = self.norm(x)
        return x


@dataclass
class Remembered:
    """What a memory keeps of the words so far: (B, K, w), and (B, ...) that knows all beams."""

    of_beams: Tensor
    of_studies: tuple[Tensor, ...] = ()

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from its beam `beams[b, k]`."""
        self.of_beams = self.of_beams.gather(1, beams.unsqueeze(-1).expand_as(self.of_beams))

    def keep(self, studies: Tensor) -> None:
        """Go on with these studies alone."""
        self.of_beams = self.of_beams[studies]
        self.of_studies = tuple(x[studies] for x in self.of_studies)


class Memory(nn.Module):
    """Base of what drives the norms. `width`: of m_t."""

    width: int

    def forward(self, y: Tensor) -> Tensor:
        """m_t after each of the words y (B, T, d), of these and those before: (B, T, w)."""
        raise NotImplementedError

    def before(self, num_studies: int, num_beams: int, max_length: int) -> Remembered:
        """Before the first word of so many reports of each study."""
        raise NotImplementedError

    def step(self, y: Tensor, remembered: Remembered, mask: Tensor) -> Tensor:
        """One word more of every beam: y (B, K, d) -> m_t (B, K, w); `remembered` takes it in.

        `mask` (B, 1, K, t·K) as `Ancestors.mask` gives it, the new words included.
        """
        raise NotImplementedError


@dataclass
class DecoderState:
    """What a beam search carries from word to word."""

    position: int
    remembered: Remembered
    caches: list[LayerCache]
    ancestors: Ancestors

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from beam `beams[b, k]` of the same study; beams (B, K)."""
        self.remembered.reorder(beams)
        self.ancestors.reorder(beams)

    def keep(self, studies: Tensor) -> None:
        """Go on with the studies of these numbers alone, studies (b,) of (B,)."""
        self.remembered.keep(studies)
        self.ancestors.keep(studies)
        for cache in self.caches:
            cache.keep(studies)


class ConditionalModel(ReportModel):
    """Base of families that are an encoder, a memory of the words so far, and a decoder whose norms
    it drives. `two_dropouts`: memory and decoder read words dropped differently."""

    positions: Tensor  # (T + 1, d)

    def __init__(
        self, settings: Settings, vocabulary_size: int, encoder: nn.Module, memory: Memory, *,
        two_dropouts: bool, pretrained: bool, knowledge: Knowledge = NOTHING,
    ) -> None:  # fmt: skip
        model, d_model = settings.model, settings.model.d_model
        visual = VisualExtractor(settings.visual, model, pretrained=pretrained)
        super().__init__(visual, settings.data.max_length, knowledge)
        self.encoder, self.memory, self.two_dropouts = encoder, memory, two_dropouts
        self.norms = ConditionalNorms(memory.width, d_model, model.num_decoder_layers)
        self.decoder = ConditionalDecoder(
            d_model, num_layers=model.num_decoder_layers, num_heads=model.num_heads,
            d_ff=model.d_ff, dropout=model.dropout,
        )  # fmt: skip
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(model.dropout)
        self.classifier = nn.Linear(d_model, vocabulary_size)
        positions = sinusoids(self.max_length + 1, d_model)
        self.register_buffer("positions", positions, persistent=False)
        for part in (self.encoder, self.decoder, self.word_embedding):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def encode(self, patches: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Patch features (B, S, d) -> what the decoder looks at, (B, S, d), and the output's
        parts."""
        return self.encoder(patches), {}

    def forward(self, batch: Batch) -> Output:
        tokens = batch.tokens[:, :-1]
        hidden, parts = self.encode(self.visual(batch.images, batch.projections).patches)
        y = self.embed(tokens) + self.positions[: tokens.shape[1]]
        read = self.dropout(y)
        norms = self.norms(self.memory(read))
        written = self.dropout(y) if self.two_dropouts else read
        return Output(self.classifier(self.decoder(written, hidden, norms)), parts)

    def embed(self, tokens: Tensor) -> Tensor:
        """Word embeddings before their positions: tokens (...) -> (..., d)."""
        words: Tensor = self.word_embedding(tokens)
        return words * sqrt(self.word_embedding.embedding_dim)

    def prepare(self) -> CNN:
        assert not self.training, "reports are generated in evaluation mode"
        return self.visual.folded()

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: CNN
    ) -> DecoderState:
        hidden, _ = self.encode(self.visual(images, projections, prepared).patches)
        B, T = len(images), self.max_length + 1
        return DecoderState(
            position=0,
            remembered=self.memory.before(B, num_beams, T),
            caches=self.decoder.start(hidden, num_beams, T),
            ancestors=Ancestors(B, num_beams, T, like=hidden),
        )

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        state.ancestors.grow()
        mask = state.ancestors.mask()
        y = self.embed(tokens) + self.positions[state.position]
        norms = self.norms(self.memory.step(y, state.remembered, mask))
        y = self.decoder.step(y, state.caches, mask, norms)
        state.position += 1
        logprobs: Tensor = self.classifier(y).float().log_softmax(-1)
        return logprobs

    def attention(self, batch: Batch) -> Tensor:
        """The decoder's last cross-attention as the mean over heads, (B, T, S)."""
        assert not self.training, "attention is read in evaluation mode, where nothing is dropped"
        with last_cross_attention(self.decoder) as found, torch.inference_mode():
            self(batch)
        (weights,) = found
        return weights.mean(1)
