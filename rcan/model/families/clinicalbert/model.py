"""Clinical-BERT, *Vision-language pre-training for radiograph diagnosis and reports generation*
(Yan & Pei, AAAI 2022), as far as others tell of it: the paper's own text was not at hand.

One stream reads [CLS], the patches, then bos, words and eos (`stream`). Its first epochs learn four
tasks (`tasks`), losses added up; then each word is told from those before it, at every place, so
that nothing is masked when a report is written.

Left out: BERT's weights and MIMIC-CXR, on which the paper pre-trains. So this says nothing about
Clinical-BERT's results. docs/readings.md has what was read how.

Shapes: B studies, K beams, I images, S patches, P = 1 + S, T words, d model width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.clinicalbert import Config
from rcan.model.families.clinicalbert.stream import (
    AncestorsAndImage,
    Keys,
    MaskedAttention,
    Stream,
    StreamLayer,
    causal_mask,
    padding_mask,
)
from rcan.model.families.clinicalbert.tasks import Matching, hide, matching_losses
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.topic_loss import mean_of, topic_loss
from rcan.model.layers.transformer_model import DecoderState, Prepared, TransformerModel, xavier
from rcan.model.visual.cnn import CNN


class Pretraining(nn.Module):
    """Parameters of the tasks alone."""

    def __init__(self, d_model: int, topics: Tensor) -> None:
        """topics (L,): the share of the training studies with each."""
        super().__init__()
        self.mask = nn.Parameter(torch.randn(d_model) * d_model**-0.5)
        self.tell_topics = nn.Linear(d_model, len(topics))
        self.matching = Matching(d_model)
        with torch.no_grad():
            self.tell_topics.bias.copy_(topics.logit(0.01))


class ClinicalBERT(TransformerModel):
    """Tables: `kinds` (Y,), `shares` (L,); of studies: `topics` (N, L), `mesh` (N, m)."""

    decoder: Stream

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        model, config = settings.model, settings.family
        assert isinstance(config, Config)
        own, d_model = config.clinicalbert, model.d_model
        stream = Stream(
            d_model, num_layers=own.num_layers, num_heads=model.num_heads, d_ff=model.d_ff,
            dropout=model.dropout,
        )  # fmt: skip
        super().__init__(
            settings, vocabulary_size, stream, pretrained=pretrained, knowledge=knowledge
        )
        self.own = own
        self.cls = nn.Parameter(torch.randn(d_model) * d_model**-0.5)
        self.pretraining: Pretraining | None = None
        if own.pretrain_share:
            self.pretraining = Pretraining(d_model, knowledge.kept["shares"])
        xavier(self.classifier)

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words; in pre-training what the tasks' losses are made of."""
        image, seen = self.decoder.see(self.shown(batch.images, batch.projections))
        if self.phase == "pretrain":
            return self.pretrain(batch, image, seen)
        tokens = batch.tokens[:, :-1]
        mask = causal_mask(tokens.shape[1], image.shape[1], tokens.device)
        return Output(self.classifier(self.decoder(self.dropout(self.embed(tokens)), seen, mask)))

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """Cross-entropy of words; in pre-training the sum of CD, MMM, MLM and IMM."""
        if self.phase != "pretrain":
            return super().losses(output, batch, together)
        parts, of_mesh = output.parts, output.parts["of_mesh"]
        told = {
            "loss_cd": topic_loss(parts["topics"], self.tables.of(batch, "topics"), together),
            "loss_mmm": mean_of(parts["told"], of_mesh, together),
            "loss_mlm": mean_of(parts["told"], ~of_mesh, together),
            "loss_imm": mean_of(parts["misfits"], parts["matched"], together),
        }
        return {
            "loss": torch.stack([*told.values()]).sum(),
            **{name: loss.detach() for name, loss in told.items()},
        }

    def pretrain(self, batch: Batch, image: Tensor, seen: list[Keys]) -> Output:
        """`topics` (B, L) of CD; `told` (n,), losses of hidden words, each read once both ways and
        once left to right, and whether they are of MMM, `of_mesh`, or of MLM; `misfits` (B,),
        losses of IMM, and which count, `matched`."""
        tasks, own = self.pretraining, self.own
        assert tasks is not None
        tokens, kinds = batch.tokens[:, :-1], self.tables["kinds"]
        hidden = hide(tokens, kinds, own.mask_words, own.mask_mesh)
        x = torch.where(hidden.masked.unsqueeze(2), tasks.mask, self.word_embedding(hidden.tokens))
        x, P = self.dropout(self.place(x)), image.shape[1]
        masks = (
            padding_mask(tokens != batch.pad_id, P),
            causal_mask(tokens.shape[1], P, x.device),
        )
        states = torch.cat([self.decoder(x, seen, mask)[hidden.chosen] for mask in masks])
        true, mesh = tokens[hidden.chosen].repeat(2), self.tables.of(batch, "mesh")
        logits = self.classifier(states).float()
        misfits, matched = matching_losses(
            tasks.matching, self.word_embedding(mesh), mesh, image[:, 1:], own.margin
        )
        return Output(logits, {
            "topics": tasks.tell_topics(image[:, 0]),
            "told": F.cross_entropy(logits, true, reduction="none"), "of_mesh": kinds[true] == 2,
            "misfits": misfits, "matched": matched,
        })  # fmt: skip

    def shown(self, images: Tensor, projections: Tensor, cnn: CNN | None = None) -> Tensor:
        """[CLS] and patches (B, P, d)."""
        patches = self.visual(images, projections, cnn).patches
        return torch.cat([self.cls.expand(len(patches), 1, -1), patches], 1)

    def look(self, images: Tensor, projections: Tensor, prepared: Prepared) -> Tensor:
        return self.shown(images, projections, prepared.cnn)

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> DecoderState:
        state = super().start(images, projections, num_beams, prepared)
        seen = state.caches[0].cross_keys  # (B, h, P, d_k)
        state.ancestors = AncestorsAndImage(
            seen.shape[2], len(seen), num_beams, self.max_length + 1, like=self.positions
        )
        return state

    @property
    def last_attention(self) -> MaskedAttention:
        last = self.decoder.layers[-1]
        assert isinstance(last, StreamLayer)
        return last.attention

    def shares(self, x: Tensor, keys: Tensor, *_: Tensor, **named: Any) -> Tensor:
        return self.last_attention.shares(x, keys, named["mask"])

    def attention(self, batch: Batch) -> Tensor:
        """Where among the patches the last layer looked: the mean over heads, (B, T, S)."""
        shares = super().attention(batch)
        of_patches = shares[:, :, 1 : shares.shape[2] - shares.shape[1]]
        return of_patches / of_patches.sum(-1, keepdim=True)
