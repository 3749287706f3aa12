"""RCAN, the whole model (§3, Fig. 2): images of a study in, a report out (Eqs. 20-24).

The baselines are this model with parts off: no RVE, `NoMemory` in the place of CGM, no contrastive
head.

Shapes: B studies, K beams, I images, S patches, T words, d model width, Y vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.rcan import Config
from rcan.model.families.rcan.contrastive import (
    WeaklySupervisedContrastive,
    contrastive_loss,
    pooled_features,
)
from rcan.model.families.rcan.memory import CrossModalGatedMemory, GateState, NoMemory, Slots
from rcan.model.families.rcan.recalibration import RecalibratedVisualExtractor
from rcan.model.interface import Batch, Output, ReportModel, Together, cross_entropy
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.transformer import (
    Ancestors,
    Decoder,
    Encoder,
    LayerCache,
    last_cross_attention,
    sinusoids,
)
from rcan.model.layers.word_table import WordTable
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


@dataclass
class Prepared:
    """What is worked out once for the weights as they are, before any study."""

    cnn: CNN  # its batch norms folded into the convolutions
    slots: Slots | None
    words: WordTable


@dataclass
class DecoderState:
    """What a beam search carries from word to word: all `RCAN.step` needs besides words."""

    position: int
    prepared: Prepared
    caches: list[LayerCache]
    ancestors: Ancestors
    gate: GateState | None

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from beam `beams[b, k]` of the same study; beams (B, K)."""
        self.ancestors.reorder(beams)
        if self.gate is not None:
            self.gate.reorder(beams)

    def keep(self, studies: Tensor) -> None:
        """Go on with the studies of these numbers alone, studies (b,) of (B,)."""
        for part in (*self.caches, self.ancestors, self.gate):
            if part is not None:
                part.keep(studies)


class RCAN(ReportModel):
    """Recalibrated cross-modal alignment network."""

    positions: Tensor  # (T + 1, d)
    patch_positions: Tensor | None  # (S, d)

    def __init__(
        self, settings: Settings, config: Config, vocabulary_size: int, *, pretrained: bool
    ) -> None:
        model, wcl, max_length = settings.model, config.wcl, settings.data.max_length
        d_model, sizes = model.d_model, {"num_heads": model.num_heads, "d_ff": model.d_ff}

        def recalibration(channels: int) -> nn.Module:
            return RecalibratedVisualExtractor(channels, **config.rve.model_dump())

        super().__init__(
            VisualExtractor(
                settings.visual, model, pretrained=pretrained,
                recalibration=recalibration if model.use_rve else None,
            ),
            max_length,
        )  # fmt: skip
        self.cgm: CrossModalGatedMemory | NoMemory = NoMemory()
        if model.use_cgm:
            self.cgm = CrossModalGatedMemory(d_model, **config.cgm.model_dump())
        self.encoder = Encoder(
            d_model, num_layers=model.num_encoder_layers, dropout=model.dropout, **sizes
        )
        self.decoder = Decoder(
            d_model, num_layers=model.num_decoder_layers, dropout=model.dropout, **sizes
        )
        self.wcl = wcl
        self.contrastive: WeaklySupervisedContrastive | None = None
        if model.use_wcl:
            self.contrastive = WeaklySupervisedContrastive(
                self.visual.channels, d_model, wcl.projection_dim, views=wcl.views,
                augment_dropout=wcl.augment_dropout, augment_noise=wcl.augment_noise,
            )  # fmt: skip
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(model.dropout)
        self.classifier = nn.Linear(d_model, vocabulary_size)
        self.register_buffer("positions", sinusoids(max_length + 1, d_model), persistent=False)
        sinusoidal = model.patch_positions == "sinusoidal"
        num_patches = settings.data.num_views * self.visual.grid**2
        of_patches = sinusoids(num_patches, d_model) if sinusoidal else None
        self.register_buffer("patch_positions", of_patches, persistent=False)
        for module in (self.encoder, self.decoder, self.word_embedding, self.classifier):
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words (Eqs. 20-22); with WCL, `p` (2, B, D): embeddings of Eq. 18."""
        slots, tokens = self.cgm.read(), batch.tokens[:, :-1]
        seen = self.visual(batch.images, batch.projections)
        hidden = self.encode(seen.patches, slots)
        y = self.embed(tokens) + self.positions[: tokens.shape[1]]
        y = self.cgm(self.dropout(y), slots, text=True)
        logits = self.classifier(self.decoder(y, hidden))  # Eqs. 21-22
        if self.contrastive is None:
            return Output(logits)
        V = seen.V_hat if self.wcl.features == "V_hat" else seen.V  # as printed, Eq. 2 pools V
        pooled = pooled_features(V, batch.images.shape[1])
        with torch.autocast(pooled.device.type, enabled=False):  # neighbours and s/τ need float32
            return Output(logits, {"p": self.contrastive(pooled.float())})

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """Eq. 24 as `loss`, `loss_ce`, `loss_wcl`; without WCL the loss is cross-entropy alone."""
        loss_ce = cross_entropy(output, batch, together)
        if "p" not in output.parts:
            return {"loss": loss_ce, "loss_ce": loss_ce.detach()}
        wcl, p = self.wcl, together.gathered(output.parts["p"])
        loss_wcl = contrastive_loss(p.float(), tau=wcl.tau, denominator=wcl.denominator)
        loss = wcl.lambda_ce * loss_ce + (1 - wcl.lambda_ce) * loss_wcl  # Eq. 24
        return {"loss": loss, "loss_ce": loss_ce.detach(), "loss_wcl": loss_wcl.detach()}

    def encode(self, patches: Tensor, slots: Slots | None) -> Tensor:
        """h of Eq. 20: patches (B, S, d) -> (B, S, d)."""
        x = self.cgm(patches, slots, text=False)
        if self.patch_positions is not None:
            x = self.dropout(x + self.patch_positions)
        h: Tensor = self.encoder(x)
        return h

    def embed(self, tokens: Tensor) -> Tensor:
        """Word embeddings before their positions: tokens (...) -> (..., d)."""
        words: Tensor = self.word_embedding(tokens)
        return words * sqrt(self.word_embedding.embedding_dim)

    def prepare(self) -> Prepared:
        assert not self.training, "reports are generated in evaluation mode"
        slots = self.cgm.read()
        # A memory takes the slots that it reads itself.
        describe = cast(Callable[[Tensor, Slots | None], Tensor], self.cgm.describe)

        def read(words: Tensor, position: int) -> Tensor:
            return describe(self.embed(words) + self.positions[position], slots)

        num_positions, num_words = len(self.positions), self.word_embedding.num_embeddings
        table = WordTable(
            read, num_words=num_words, num_positions=num_positions, device=self.device
        )
        return Prepared(self.visual.folded(), slots, table)

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> DecoderState:
        seen = self.visual(images, projections, prepared.cnn)
        hidden = self.encode(seen.patches, prepared.slots)
        B, T = len(images), self.max_length + 1
        return DecoderState(
            position=0,
            prepared=prepared,
            caches=self.decoder.start(hidden, num_beams, T),
            ancestors=Ancestors(B, num_beams, T, like=hidden),
            gate=self.cgm.start(B, num_beams),
        )

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        y = self.cgm.step(state.prepared.words.look_up(tokens, state.position), state.gate)
        y = self.decoder.step(y, state.caches, state.ancestors)
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
