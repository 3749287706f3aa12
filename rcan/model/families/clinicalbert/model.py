"""Clinical-BERT, *Vision-language pre-training for radiograph diagnosis and reports generation*
(Yan & Pei, AAAI 2022), as far as others tell of it: the paper's own text was not at hand.

One stream reads [CLS], the patches, then bos, words and eos (`stream`). Its first epochs learn four
tasks (`tasks`), losses added up; then each word is told from those before it, at every place, so
that nothing is masked when a report is written.

Left out: BERT's weights and MIMIC-CXR, on which the paper pre-trains. So this says nothing about
Clinical-BERT's results. docs/readings.md has what was read how.

Shapes: B studies, K beams, I images, S patches, P = 1 + S, T words, d model width.
"""

from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.clinicalbert import Config
from rcan.model.families.clinicalbert.stream import (
    Keys,
    Stream,
    StreamCache,
    causal_mask,
    padding_mask,
)
from rcan.model.families.clinicalbert.tasks import Matching, hide, matching_loss
from rcan.model.interface import Batch, Knowledge, Output, ReportModel, Together
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.topic_loss import topic_loss
from rcan.model.layers.transformer import Ancestors, sinusoids
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


@dataclass
class StreamState:
    """What a beam search carries from word to word."""

    position: int
    num_seen: int  # P
    caches: list[StreamCache]
    ancestors: Ancestors

    def reorder(self, beams: Tensor) -> None:
        self.ancestors.reorder(beams)

    def keep(self, studies: Tensor) -> None:
        self.ancestors.keep(studies)
        for cache in self.caches:
            cache.keep(studies)


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


class ClinicalBERT(ReportModel):
    """Tables: `kinds` (Y,), `shares` (L,); of studies: `topics` (N, L), `mesh` (N, m)."""

    positions: Tensor  # (T + 1, d)

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        model, config = settings.model, settings.family
        assert isinstance(config, Config)
        visual = VisualExtractor(settings.visual, model, pretrained=pretrained)
        super().__init__(visual, settings.data.max_length, knowledge)
        own, d_model = config.clinicalbert, model.d_model
        self.own = own
        self.cls = nn.Parameter(torch.randn(d_model) * d_model**-0.5)
        self.stream = Stream(own.num_layers, d_model, model.num_heads, model.d_ff, model.dropout)
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(model.dropout)
        self.classifier = nn.Linear(d_model, vocabulary_size)
        self.pretraining: Pretraining | None = None
        if own.pretrain_share:
            self.pretraining = Pretraining(d_model, knowledge.kept["shares"])
        positions = sinusoids(self.max_length + 1, d_model)
        self.register_buffer("positions", positions, persistent=False)
        for part in (self.stream, self.word_embedding, self.classifier):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words; in pre-training what the tasks' losses are made of."""
        image, seen = self.see(batch.images, batch.projections)
        if self.phase == "pretrain":
            return self.pretrain(batch, image, seen)
        return Output(self.classifier(self.read(batch, seen)[0]))

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """Cross-entropy of words; in pre-training the sum of CD, MMM, MLM and IMM."""
        if self.phase != "pretrain":
            return super().losses(output, batch, together)
        told = {f"loss_{task}": loss for task, loss in output.parts.items()}
        return {
            "loss": torch.stack([*told.values()]).sum(),
            **{name: loss.detach() for name, loss in told.items()},
        }

    def pretrain(self, batch: Batch, image: Tensor, seen: list[Keys]) -> Output:
        """`cd`, `mmm`, `mlm`, `imm`: the losses of the tasks; MMM and MLM read once both ways and
        once left to right."""
        tasks, own = self.pretraining, self.own
        assert tasks is not None
        tokens, kinds = batch.tokens[:, :-1], self.tables["kinds"]
        hidden = hide(tokens, kinds, own.mask_words, own.mask_mesh)
        x = torch.where(hidden.masked.unsqueeze(2), tasks.mask, self.word_embedding(hidden.tokens))
        x, P = self.place(x), image.shape[1]
        masks = (
            padding_mask(tokens != batch.pad_id, P),
            causal_mask(tokens.shape[1], P, x.device),
        )
        states = [self.stream.read(x, seen, mask)[0][hidden.chosen] for mask in masks]
        true = tokens[hidden.chosen]
        told = F.cross_entropy(
            self.classifier(torch.cat(states)).float(), true.repeat(2), reduction="none"
        )
        of_mesh = (kinds[true] == 2).repeat(2)
        mesh = self.tables.of(batch, "mesh")
        return Output(told, {
            "cd": topic_loss(tasks.tell_topics(image[:, 0]), self.tables.of(batch, "topics")),
            "mmm": (told * of_mesh).sum() / of_mesh.sum().clamp(min=1),
            "mlm": (told * ~of_mesh).sum() / (~of_mesh).sum().clamp(min=1),
            "imm": matching_loss(
                tasks.matching, self.word_embedding(mesh), mesh, image[:, 1:], own.margin
            ),
        })  # fmt: skip

    def see(
        self, images: Tensor, projections: Tensor, cnn: CNN | None = None
    ) -> tuple[Tensor, list[Keys]]:
        """States of [CLS] and patches (B, P, d), and the keys of each layer."""
        patches = self.visual(images, projections, cnn).patches
        first = self.cls.expand(len(patches), 1, -1)
        return self.stream.see(torch.cat([first, patches], 1))

    def read(self, batch: Batch, seen: list[Keys]) -> tuple[Tensor, Tensor]:
        """States (B, T, d) from left to right, the last layer's shares (B, h, T, P + T)."""
        tokens = batch.tokens[:, :-1]
        mask = causal_mask(tokens.shape[1], seen[0].keys.shape[2], tokens.device)
        return self.stream.read(self.place(self.word_embedding(tokens)), seen, mask)

    def place(self, words: Tensor) -> Tensor:
        """Embedded words (B, T, d) at their positions."""
        placed: Tensor = words * sqrt(words.shape[-1]) + self.positions[: words.shape[1]]
        dropped: Tensor = self.dropout(placed)
        return dropped

    def prepare(self) -> CNN:
        return self.visual.folded()

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: CNN
    ) -> StreamState:
        image, seen = self.see(images, projections, prepared)
        B, T = len(images), self.max_length + 1
        return StreamState(
            position=0,
            num_seen=image.shape[1],
            caches=self.stream.start(seen, num_beams, T),
            ancestors=Ancestors(B, num_beams, T, like=image),
        )

    def step(self, tokens: Tensor, state: StreamState) -> Tensor:
        words = self.word_embedding(tokens)
        x = words * sqrt(words.shape[-1]) + self.positions[state.position]
        y = self.stream.step(x, state.caches, state.ancestors, state.num_seen)
        state.position += 1
        logprobs: Tensor = self.classifier(y).float().log_softmax(-1)
        return logprobs

    def attention(self, batch: Batch) -> Tensor:
        """Where among the patches the last layer looked: the mean over heads, (B, T, S)."""
        assert not self.training, "attention is read in evaluation mode, where nothing is dropped"
        with torch.inference_mode():
            image, seen = self.see(batch.images, batch.projections)
            _, shares = self.read(batch, seen)
        of_patches = shares.mean(1)[:, :, 1 : image.shape[1]]
        return of_patches / of_patches.sum(-1, keepdim=True)
