"""R2Gen, *Generating radiology reports via memory-driven Transformer* (Chen et al., EMNLP 2020,
2010.16056): a Transformer in whose decoder a relational memory of the words so far sets the norms.

`memory`: Eqs. 6-10; `rcan.model.layers.conditional`: Eqs. 11-15. What the authors' code does and
the paper does not say is a setting, or a row of docs/readings.md.

Shapes: B studies, K beams, T words, S patches, n slots, d model width.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.r2gen import Config
from rcan.model.families.r2gen.memory import RelationalMemory
from rcan.model.interface import Batch, Output, ReportModel
from rcan.model.layers.conditional import ConditionalDecoder, ConditionalNorms, UnbiasedNorm
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.transformer import (
    Ancestors,
    Encoder,
    LayerCache,
    last_cross_attention,
    sinusoids,
)
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


@dataclass
class DecoderState:
    """What a beam search carries from word to word."""

    position: int
    memory: Tensor  # (B, K, n·d)
    caches: list[LayerCache]
    ancestors: Ancestors

    def reorder(self, beams: Tensor) -> None:
        self.ancestors.reorder(beams)
        self.memory = self.memory.gather(1, beams.unsqueeze(-1).expand_as(self.memory))

    def keep(self, studies: Tensor) -> None:
        self.memory = self.memory[studies]
        self.ancestors.keep(studies)
        for cache in self.caches:
            cache.keep(studies)


class R2Gen(ReportModel):
    positions: Tensor  # (T + 1, d)

    def __init__(
        self, settings: Settings, config: Config, vocabulary_size: int, *, pretrained: bool
    ) -> None:
        model, own = settings.model, config.r2gen
        visual = VisualExtractor(settings.visual, model, pretrained=pretrained)
        super().__init__(visual, settings.data.max_length)
        visual.patches.dropout.p = own.patch_dropout
        d_model, p = model.d_model, model.dropout
        sizes = {"num_heads": model.num_heads, "d_ff": model.d_ff}
        self.encoder = Encoder(d_model, num_layers=model.num_encoder_layers, dropout=p, **sizes)
        self.memory = RelationalMemory(
            d_model, num_slots=own.memory_slots, num_heads=own.memory_heads, dropout=p,
            learned=own.first_memory == "learned",
        )  # fmt: skip
        num_layers = model.num_decoder_layers
        self.norms = ConditionalNorms(self.memory.width, d_model, num_layers)
        self.decoder = ConditionalDecoder(d_model, num_layers=num_layers, dropout=p, **sizes)
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(p)
        self.two_dropouts = own.embedding_dropouts == "two"
        self.classifier = nn.Linear(d_model, vocabulary_size)
        positions = sinusoids(self.max_length + 1, d_model)
        self.register_buffer("positions", positions, persistent=False)
        for part in (self.encoder, self.decoder, self.word_embedding):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        if own.norm == "unbiased":
            use_unbiased_norms(self)

    def forward(self, batch: Batch) -> Output:
        tokens = batch.tokens[:, :-1]
        hidden: Tensor = self.encoder(self.visual(batch.images, batch.projections).patches)
        y = self.embed(tokens) + self.positions[: tokens.shape[1]]
        read = self.dropout(y)
        norms = self.norms(self.memory(read))
        written = self.dropout(y) if self.two_dropouts else read
        return Output(self.classifier(self.decoder(written, hidden, norms)))

    def embed(self, tokens: Tensor) -> Tensor:
        """Word embeddings before their positions: tokens (...) -> (..., d)."""
        words: Tensor = self.word_embedding(tokens)
        return words * sqrt(self.word_embedding.embedding_dim)

    def prepare(self) -> CNN:
        return self.visual.folded()

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: CNN
    ) -> DecoderState:
        hidden: Tensor = self.encoder(self.visual(images, projections, prepared).patches)
        B, T = len(images), self.max_length + 1
        return DecoderState(
            position=0,
            memory=self.memory.start.flatten().expand(B, num_beams, -1),
            caches=self.decoder.start(hidden, num_beams, T),
            ancestors=Ancestors(B, num_beams, T, like=hidden),
        )

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        y = self.embed(tokens) + self.positions[state.position]
        state.memory = self.memory.step(y, state.memory)
        y = self.decoder.step(y, state.caches, state.ancestors, self.norms(state.memory))
        state.position += 1
        logprobs: Tensor = self.classifier(y).float().log_softmax(-1)
        return logprobs

    def attention(self, batch: Batch) -> Tensor:
        """The decoder's last cross-attention as the mean over heads, (B, T, S)."""
        with last_cross_attention(self.decoder) as found, torch.inference_mode():
            self(batch)
        (weights,) = found
        return weights.mean(1)


def use_unbiased_norms(model: nn.Module) -> None:
    """Every LayerNorm of a model as `UnbiasedNorm`, its weights new."""
    for part in list(model.modules()):
        for name, norm in part.named_children():
            if isinstance(norm, nn.LayerNorm):
                affine = norm.elementwise_affine
                setattr(part, name, UnbiasedNorm(norm.normalized_shape, elementwise_affine=affine))


def build(settings: Settings, vocabulary_size: int, *, pretrained: bool) -> R2Gen:
    """R2Gen as the settings describe it, initialised from the global random state."""
    assert isinstance(settings.family, Config)
    return R2Gen(settings, settings.family, vocabulary_size, pretrained=pretrained)
