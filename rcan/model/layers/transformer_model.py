"""What the Transformer-like families share: words at their positions, a decoder, a classifier, and
how a report is written with them one word at a time.

Shapes: B studies, K beams, I images, S of what is looked at, T words, d model width, h heads,
Y vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.model.interface import NOTHING, Batch, Knowledge, ReportModel, State
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.transformer import (
    Ancestors,
    Attention,
    Decoder,
    DecoderLayer,
    LayerCache,
    attention_weights,
    sinusoids,
)
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


class Prepared(NamedTuple):
    """What is worked out once for the weights as they are, before any study."""

    cnn: CNN  # its batch norms folded into the convolutions
    own: Any = None  # the family's


@dataclass
class DecoderState:
    """What a beam search carries from word to word; `more`: a family's own states."""

    prepared: Prepared
    caches: list[LayerCache]
    ancestors: Ancestors
    more: Sequence[State] = ()
    position: int = 0

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from beam `beams[b, k]` of the same study; beams (B, K)."""
        for part in (self.ancestors, *self.more):
            part.reorder(beams)

    def keep(self, studies: Tensor) -> None:
        """Go on with the studies of these numbers alone, studies (b,) of (B,)."""
        for cache in self.caches:
            cache.keep(studies)
        for part in (self.ancestors, *self.more):
            part.keep(studies)


class TransformerModel(ReportModel):
    """Base of families with a decoder over embedded words. A family defines `forward` and `look`.

    `patch_dropout`: of the patches; None: as everywhere.
    """

    positions: Tensor  # (T + 1, d)

    def __init__(
        self, settings: Settings, vocabulary_size: int, decoder: Decoder, *, pretrained: bool,
        knowledge: Knowledge = NOTHING, patch_dropout: float | None = None,
    ) -> None:  # fmt: skip
        model, d_model = settings.model, settings.model.d_model
        of_patches = model
        if patch_dropout is not None:
            of_patches = model.model_copy(update={"dropout": patch_dropout})
        visual = VisualExtractor(settings.visual, of_patches, pretrained=pretrained)
        super().__init__(visual, settings.data.max_length, knowledge)
        self.decoder = decoder
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(model.dropout)
        self.classifier = nn.Linear(d_model, vocabulary_size)
        positions = sinusoids(self.max_length + 1, d_model)
        self.register_buffer("positions", positions, persistent=False)
        xavier(self.decoder, self.word_embedding)

    def embed(self, tokens: Tensor, first: int = 0) -> Tensor:
        """Words that follow each other from position `first` on: (..., T) -> (..., T, d)."""
        return self.place(self.word_embedding(tokens), first)

    def place(self, words: Tensor, first: int = 0) -> Tensor:
        """Embeddings of such words (..., T, d) at their positions."""
        positions = self.positions[first : first + words.shape[-2]]
        return words * sqrt(words.shape[-1]) + positions

    def look(self, images: Tensor, projections: Tensor, prepared: Prepared) -> Tensor:
        """What the decoder looks at, (B, S, d), of images (B, I, ...)."""
        raise NotImplementedError

    def prepare(self) -> Prepared:
        assert not self.training, "reports are generated in evaluation mode"
        return Prepared(self.visual.folded())

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> DecoderState:
        seen, T = self.look(images, projections, prepared), self.max_length + 1
        ancestors = Ancestors(len(seen), num_beams, T, like=seen)
        return DecoderState(prepared, self.decoder.start(seen, num_beams, T), ancestors)

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        y = self.embed(tokens.unsqueeze(2), state.position).squeeze(2)
        y = self.decode(tokens, y, state)
        state.position += 1
        logprobs: Tensor = self.classifier(y).float().log_softmax(-1)
        return logprobs

    def decode(self, tokens: Tensor, y: Tensor, state: DecoderState) -> Tensor:
        """One word further: tokens (B, K), embedded as y (B, K, d) -> hidden states (B, K, d)."""
        return self.decoder.step(y, state.caches, state.ancestors)

    @property
    def last_attention(self) -> Attention:
        """What looked last before a word is told."""
        return cast(DecoderLayer, self.decoder.layers[-1]).cross_attention

    def shares(self, x: Tensor, keys: Tensor, *_: Tensor, **__: Any) -> Tensor:
        """What `last_attention` weighs values by, (B, h, T, S), given all that it is asked."""
        return attention_weights(self.last_attention, x, keys)

    def attention(self, batch: Batch) -> Tensor:
        """Where the last layer looks, as the mean over heads, (B, T, S); worked out anew from what
        goes into it: the model keeps nothing."""
        assert not self.training, "attention is read in evaluation mode, where nothing is dropped"
        asked: list[tuple[Any, Any]] = []
        hook = self.last_attention.register_forward_pre_hook(
            lambda _, inputs, named: asked.append((inputs, named)), with_kwargs=True
        )
        try:
            with torch.inference_mode():
                self(batch)
                inputs, named = asked[-1]
                return self.shares(*inputs, **named).mean(1)
        finally:
            hook.remove()


def xavier(*parts: nn.Module) -> None:
    """Every matrix of these parts starts as Glorot & Bengio have it, uniformly."""
    for part in parts:
        for parameter in part.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
