"""PPKED, *Exploring and distilling posterior and prior knowledge for radiology report generation*
(Liu et al., CVPR 2021, 2106.06963).

The posterior explorer (`explorers`) reads the study's images with the topics in mind; the prior one
reads the reports of the training studies whose images are most alike, and a graph of the topics;
the writer (`decoder`) mixes the three by gates. Its first epochs tell the topics from I′.

Left out: BERT, which here is a linear map of the mean of the model's own word embeddings, and the
CheXpert-trained CNN; the graph joins topics of one organ. docs/readings.md has what was read how.

Shapes: B studies, K beams, I images, S patches, R reports retrieved, T words, d model width.
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.ppked import Config
from rcan.model.families.ppked.decoder import GatedCache, GatedDecoder
from rcan.model.families.ppked.explorers import (
    Explored,
    Explorer,
    Graph,
    Posterior,
    nearest,
    pooled,
)
from rcan.model.interface import Batch, Knowledge, Output, ReportModel, Together
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.topic_loss import topic_loss
from rcan.model.layers.transformer import Ancestors, sinusoids
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


class Prepared(NamedTuple):
    """What is worked out once for the weights as they are, before any study."""

    cnn: CNN  # its batch norms folded into the convolutions
    reports: Tensor  # (N, d)
    graph: Tensor  # (1, L, d)


@dataclass
class DecoderState:
    """What a beam search carries from word to word."""

    position: int
    caches: list[GatedCache]
    ancestors: Ancestors

    def reorder(self, beams: Tensor) -> None:
        self.ancestors.reorder(beams)

    def keep(self, studies: Tensor) -> None:
        self.ancestors.keep(studies)
        for cache in self.caches:
            cache.keep(studies)


class PPKED(ReportModel):
    """Tables: `features` (N, D), `reports` (N, T), `graph` (L, L); of studies: `topics` (N, L)."""

    positions: Tensor  # (T + 1, d)

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        model, config = settings.model, settings.family
        assert isinstance(config, Config)
        visual = VisualExtractor(settings.visual, model, pretrained=pretrained)
        super().__init__(visual, settings.data.max_length, knowledge)
        self.num_reports = config.ppked.num_reports
        d_model, num_topics = model.d_model, len(self.tables["graph"])
        sizes = (d_model, model.num_heads, model.d_ff, model.dropout)
        self.posterior = Posterior(num_topics, *sizes)
        self.tell_topics = nn.Linear(d_model, num_topics)
        self.report = nn.Linear(d_model, d_model)
        self.of_reports = Explorer(*sizes)
        self.graph = Graph(d_model)
        self.of_graph = Explorer(*sizes)
        self.decoder = GatedDecoder(model.num_decoder_layers, *sizes)
        self.word_embedding = nn.Embedding(vocabulary_size, d_model)
        self.dropout = Dropout(model.dropout)
        self.classifier = nn.Linear(d_model, vocabulary_size)
        positions = sinusoids(self.max_length + 1, d_model)
        self.register_buffer("positions", positions, persistent=False)
        for part in (self.decoder, self.word_embedding, self.classifier):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words; before words are trained, `topics` (B, L) in their place."""
        images = self.maps_of(batch.images, self.visual.cnn)
        if self.phase == "pretrain":
            seen = self.posterior(self.visual(images, batch.projections).patches)
            return Output(seen.new_empty(0), {"topics": self.tell_topics(seen.mean(1))})
        return Output(self.read(batch, images)[0])

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """Cross-entropy of words; before, binary cross-entropy of the topics that are known."""
        if self.phase != "pretrain":
            return super().losses(output, batch, together)
        loss = topic_loss(output.parts["topics"], self.tables.of(batch, "topics"))
        return {"loss": loss, "loss_topics": loss.detach()}

    def read(self, batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, Y) and where the last layer looked (B, h, T, S)."""
        # In training a study is the nearest to itself; elsewhere numbers are of other splits.
        found = self.neighbours(images, batch.numbers if self.training else None)
        numbers, places = found.unique(return_inverse=True)
        reports = self.vectors(self.tables["reports"][numbers])[places]
        explored = self.explore(
            self.visual(images, batch.projections).patches, reports, self.vectors_of_graph()
        )
        tokens = batch.tokens[:, :-1]
        y = self.embed(tokens) + self.positions[: tokens.shape[1]]
        y, shares = self.decoder(self.dropout(y), explored)
        return self.classifier(y), shares

    def maps_of(self, images: Tensor, cnn: CNN) -> Tensor:
        """A frozen CNN's maps (B, I, C, h, w) of images (B, I, H, W); otherwise what was given."""
        if not self.visual.takes_features or self.visual.blind or images.dim() == 5:
            return images
        maps: Tensor = cnn(images.flatten(0, 1))
        return maps.view(*images.shape[:2], *maps.shape[1:])

    @torch.no_grad()
    def neighbours(self, images: Tensor, own: Tensor | None) -> Tensor:
        """Numbers of the training studies whose images are most alike, (B, R); blind: the first."""
        table = self.tables["features"]
        if self.visual.blind:
            number = min(self.num_reports, len(table) - 1)
            return torch.arange(number, device=table.device).expand(len(images), -1)
        return nearest(pooled(images), table, self.num_reports, own)

    def vectors(self, reports: Tensor) -> Tensor:
        """Word ids (n, T), 0 for none -> a vector a report (n, d)."""
        words = self.word_embedding.weight
        vectors: Tensor = self.report(F.embedding_bag(reports, words, padding_idx=0, mode="mean"))
        return vectors

    def vectors_of_graph(self) -> Tensor:
        vectors: Tensor = self.graph(self.posterior.topics, self.tables["graph"])
        return vectors

    def explore(self, patches: Tensor, reports: Tensor, graph: Tensor) -> Explored:
        """patches (B, S, d), reports (B, R, d), graph (1, L, d) -> I′, G′, W′."""
        seen = self.posterior(patches)
        return Explored(seen, self.of_graph(seen, graph), self.of_reports(seen, reports))

    def embed(self, tokens: Tensor) -> Tensor:
        """Word embeddings before their positions: tokens (...) -> (..., d)."""
        words: Tensor = self.word_embedding(tokens)
        return words * sqrt(self.word_embedding.embedding_dim)

    def prepare(self) -> Prepared:
        assert not self.training, "reports are generated in evaluation mode"
        reports = self.vectors(self.tables["reports"])
        return Prepared(self.visual.folded(), reports, self.vectors_of_graph())

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> DecoderState:
        images = self.maps_of(images, prepared.cnn)
        patches = self.visual(images, projections, prepared.cnn).patches
        reports = prepared.reports[self.neighbours(images, None)]
        explored = self.explore(patches, reports, prepared.graph)
        B, T = len(images), self.max_length + 1
        return DecoderState(
            position=0,
            caches=self.decoder.start(explored, num_beams, T),
            ancestors=Ancestors(B, num_beams, T, like=patches),
        )

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        y = self.embed(tokens) + self.positions[state.position]
        y = self.decoder.step(y, state.caches, state.ancestors)
        state.position += 1
        logprobs: Tensor = self.classifier(y).float().log_softmax(-1)
        return logprobs

    def attention(self, batch: Batch) -> Tensor:
        """The decoder's last cross-attention as the mean over heads, (B, T, S)."""
        assert not self.training, "attention is read in evaluation mode, where nothing is dropped"
        with torch.inference_mode():
            _, shares = self.read(batch, self.maps_of(batch.images, self.visual.cnn))
        return shares.mean(1)
