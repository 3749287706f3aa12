"""RCAN, the whole model (§3, Fig. 2): images of a study in, a report out (Eqs. 20-24).

The baselines are this model with parts off: `Identity` in the place of RVE, `NoMemory` in the place
of CGM, no contrastive head. Nothing here knows a tokenizer, a file or the name of a data set.

Shapes: B studies, K beams, I images, S patches, T words, d model width, Y vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.cnn import CNN, fold_batch_norm
from rcan.model.contrastive import WeaklySupervisedContrastive, contrastive_loss
from rcan.model.dropout import Dropout
from rcan.model.memory import CrossModalGatedMemory, GateState, NoMemory, Slots
from rcan.model.transformer import Ancestors, Decoder, Encoder, LayerCache, sinusoids
from rcan.model.visual import PatchEmbedding, pooled_features
from rcan.model.word_table import WordTable


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


class RCAN(nn.Module):
    """Recalibrated cross-modal alignment network.

    `cnn` may be skipped: features computed by it beforehand are taken in the place of images.
    `standardize`, then `adapter`: what is done to the map before all else, `Identity` as the paper.
    `blind`: None, or the shape of the map of zeros that is read in the place of every image's.
    `contrast_recalibrated`: WCL pools V_hat in the place of V (as printed, Eq. 2 pools V).
    `num_positioned_patches`: patches of a study that get sinusoidal positions, after CGM; 0: none.
    """

    positions: Tensor  # (T + 1, d)
    patch_positions: Tensor | None  # (S, d)

    def __init__(
        self, *, cnn: CNN, feature_pool: int, standardize: nn.Module, adapter: nn.Module,
        blind: tuple[int, int, int] | None,
        rve: nn.Module, patches: PatchEmbedding, cgm: CrossModalGatedMemory | NoMemory,
        encoder: Encoder, decoder: Decoder,
        contrastive: WeaklySupervisedContrastive | None, contrast_recalibrated: bool,
        num_positioned_patches: int, d_model: int, vocabulary_size: int, max_length: int,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cnn, self.standardize, self.adapter = cnn, standardize, adapter
        self.blind, self.rve, self.patches = blind, rve, patches
        self.cgm, self.encoder, self.decoder = cgm, encoder, decoder
        self.contrastive, self.contrast_recalibrated = contrastive, contrast_recalibrated
        self.feature_pool, self.max_length = feature_pool, max_length
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(d_model, vocabulary_size)
        self.register_buffer("positions", sinusoids(max_length + 1, d_model), persistent=False)
        of_patches = sinusoids(num_positioned_patches, d_model) if num_positioned_patches else None
        self.register_buffer("patch_positions", of_patches, persistent=False)
        for module in (encoder, decoder, self.word_embedding, self.classifier):
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.positions.device

    def forward(
        self, images: Tensor, projections: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: logits (B, T, Y) for the word after each of `tokens` (B, T), and p.

        `images`: (B, I, H, W) uint8, or features (B, I, C, h, w) of the CNN. `projections`: (B, I).
        p (2, B, D) are WCL's embeddings (Eq. 18); None when WCL is off.
        """
        slots = self.cgm.read()
        V, V_hat = self.recalibrate(images, self.cnn)
        hidden = self.encode(V_hat, projections, slots)
        y = self.embed(tokens) + self.positions[: tokens.shape[1]]
        y = self.cgm(self.dropout(y), slots, text=True)
        logits = self.classifier(self.decoder(y, hidden))  # Eqs. 21-22
        if self.contrastive is None:
            return logits, None
        pooled = pooled_features(V_hat if self.contrast_recalibrated else V, images.shape[1])
        with torch.autocast(pooled.device.type, enabled=False):  # neighbours and s/τ need float32
            return logits, self.contrastive(pooled.float())

    def recalibrate(self, images: Tensor, cnn: CNN) -> tuple[Tensor, Tensor]:
        """V (Eq. 1) and V_hat (Eq. 7), (B·I, C, H, W) each."""
        x = images.flatten(0, 1)
        if self.blind is not None:
            side = x.shape[2:] if images.dim() == 5 else self.blind[1:]
            V = self.positions.new_zeros(len(x), self.blind[0], *side)
        else:
            V = cnn(x) if images.dim() == 4 else x
        if self.feature_pool > 1:
            V = F.avg_pool2d(V, self.feature_pool, ceil_mode=True)
        if not torch.is_autocast_enabled(V.device.type):
            V = V.to(self.positions.dtype)  # kept features are halves
        V = self.adapter(self.standardize(V))
        return V, self.rve(V)

    def encode(self, V_hat: Tensor, projections: Tensor, slots: Slots | None) -> Tensor:
        """h of Eq. 20, (B, S, d)."""
        if self.blind is not None:  # nor how many views of which kind there are
            projections = torch.zeros_like(projections)
        x = self.cgm(self.patches(V_hat, projections), slots, text=False)
        if self.patch_positions is not None:
            x = self.dropout(x + self.patch_positions)
        h: Tensor = self.encoder(x)
        return h

    def embed(self, tokens: Tensor) -> Tensor:
        """Word embeddings before their positions, (..., d)."""
        words: Tensor = self.word_embedding(tokens)
        return words * sqrt(self.word_embedding.embedding_dim)

    def prepare(self) -> Prepared:
        """What all reports share that are generated with the weights as they now are."""
        assert not self.training, "reports are generated in evaluation mode"
        cnn = self.cnn if self.cnn.frozen else fold_batch_norm(self.cnn)  # frozen: maps are kept
        slots = self.cgm.read()
        # A memory takes the slots that it reads itself.
        describe = cast(Callable[[Tensor, Slots | None], Tensor], self.cgm.describe)

        def read(words: Tensor, position: int) -> Tensor:
            return describe(self.embed(words) + self.positions[position], slots)

        num_positions, num_words = len(self.positions), self.word_embedding.num_embeddings
        table = WordTable(
            read, num_words=num_words, num_positions=num_positions, device=self.device
        )
        return Prepared(cnn, slots, table)

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> DecoderState:
        """Look at the images, once, and be ready to write `num_beams` reports for each study.

        `prepared`: of this model in evaluation mode; one serves all batches.
        """
        _, V_hat = self.recalibrate(images, prepared.cnn)
        hidden = self.encode(V_hat, projections, prepared.slots)
        B, T = len(images), self.max_length + 1
        return DecoderState(
            position=0,
            prepared=prepared,
            caches=self.decoder.start(hidden, num_beams, T),
            ancestors=Ancestors(B, num_beams, T, like=hidden),
            gate=self.cgm.start(B, num_beams),
        )

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """One word further: tokens (B, K) -> log-probabilities of the next ones (B, K, Y)."""
        y = self.cgm.step(state.prepared.words.look_up(tokens, state.position), state.gate)
        y = self.decoder.step(y, state.caches, state.ancestors)
        state.position += 1
        logprobs: Tensor = self.classifier(y).float().log_softmax(-1)
        return logprobs


def cross_entropy(logits: Tensor, targets: Tensor, pad_id: int) -> Tensor:
    """L_CE (Eq. 23), mean over real tokens: logits (B, T, Y), targets (B, T)."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=pad_id)


def joint_loss(
    logits: Tensor, targets: Tensor, p: Tensor | None, *,
    pad_id: int, lambda_ce: float, tau: float, denominator: str, share: Tensor | float = 1.0,
) -> dict[str, Tensor]:  # fmt: skip
    """Eq. 24 as {"loss", "loss_ce", "loss_wcl"}; without WCL the loss is cross-entropy alone.

    `share`: what cross-entropy is weighed by where this is one process' share of a batch.
    """
    loss_ce = cross_entropy(logits, targets, pad_id) * share
    if p is None:
        return {"loss": loss_ce, "loss_ce": loss_ce.detach()}
    loss_wcl = contrastive_loss(p.float(), tau=tau, denominator=denominator)
    loss = lambda_ce * loss_ce + (1 - lambda_ce) * loss_wcl  # Eq. 24
    return {"loss": loss, "loss_ce": loss_ce.detach(), "loss_wcl": loss_wcl.detach()}
