"""PPKED, *Exploring and distilling posterior and prior knowledge for radiology report generation*
(Liu et al., CVPR 2021, 2106.06963).

The posterior explorer (`explorers`) reads the study's images with the topics in mind; the prior one
reads the reports of the training studies whose images are most alike, and a graph of the topics;
the writer (`decoder`) mixes the three by gates. Its first epochs tell the topics from I′.

Left out: BERT, which here is a linear map of the mean of the model's own word embeddings, and the
CheXpert-trained CNN; the graph joins topics of one organ. docs/readings.md has what was read how.

Shapes: B studies, K beams, I images, S patches, R reports retrieved, T words, d model width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.ppked import Config
from rcan.model.families.ppked.decoder import GatedAttention, GatedDecoder
from rcan.model.families.ppked.explorers import Explorer, Graph, Posterior, nearest, pooled
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.topic_loss import topic_loss
from rcan.model.layers.transformer_model import Prepared, TransformerModel, xavier
from rcan.model.visual.cnn import CNN


class Prior(NamedTuple):
    """What patches ask of other studies: keys and values."""

    graph: tuple[Tensor, Tensor]  # (1, h, L, d_k)
    reports: Tensor  # (2, N, d), of each report once


class PPKED(TransformerModel):
    """Tables: `features` (N, D), `reports` (N, T), `graph` (L, L); of studies: `topics` (N, L)."""

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        model, config = settings.model, settings.family
        assert isinstance(config, Config)
        decoder = GatedDecoder(
            model.d_model, num_layers=model.num_decoder_layers, num_heads=model.num_heads,
            d_ff=model.d_ff, dropout=model.dropout,
        )  # fmt: skip
        super().__init__(
            settings, vocabulary_size, decoder, pretrained=pretrained, knowledge=knowledge
        )
        self.num_reports = config.ppked.num_reports
        d_model, num_topics = model.d_model, len(self.tables["graph"])
        sizes = (d_model, model.num_heads, model.d_ff, model.dropout)
        self.posterior = Posterior(num_topics, *sizes)
        self.tell_topics = nn.Linear(d_model, num_topics)
        self.report = nn.Linear(d_model, d_model)
        self.of_reports = Explorer(*sizes)
        self.graph = Graph(d_model)
        self.of_graph = Explorer(*sizes)
        xavier(self.classifier)

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words; before words are trained, `topics` (B, L) in their place."""
        images = self.maps_of(batch.images, self.visual.cnn)
        if self.phase == "pretrain":
            seen = self.posterior(self.visual(images, batch.projections).patches)
            return Output(seen.new_empty(0), {"topics": self.tell_topics(seen.mean(1))})
        # Where reports are written, or scored, numbers are of another split's studies.
        found = self.neighbours(images, batch.numbers if self.training else None)
        numbers, places = found.unique(return_inverse=True)
        prior = self.prior(self.tables["reports"][numbers])
        patches = self.visual(images, batch.projections).patches
        y = self.dropout(self.embed(batch.tokens[:, :-1]))
        return Output(self.classifier(self.decoder(y, self.explore(patches, places, prior))))

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """Cross-entropy of words; before, binary cross-entropy of the topics that are known."""
        if self.phase != "pretrain":
            return super().losses(output, batch, together)
        loss = topic_loss(output.parts["topics"], self.tables.of(batch, "topics"), together)
        return {"loss": loss, "loss_topics": loss.detach()}

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

    def prior(self, reports: Tensor) -> Prior:
        """Of the graph, and of reports (N, T): word ids, 0 for none."""
        words = self.word_embedding.weight
        vectors = self.report(F.embedding_bag(reports, words, padding_idx=0, mode="mean"))
        asked = self.of_reports.attention
        of_reports = torch.stack([asked.key(vectors), asked.value(vectors)])
        graph = self.graph(self.posterior.topics, self.tables["graph"])
        return Prior(self.of_graph.attention.keys_values(graph), of_reports)

    def explore(self, patches: Tensor, found: Tensor, prior: Prior) -> Tensor:
        """patches (B, S, d), numbers (B, R) of the prior's reports -> I′, G′ and W′, (B, 3·S, d),
        one after the other."""
        seen = self.posterior(patches)
        heads = self.of_reports.attention.num_heads
        of_reports = prior.reports[:, found].unflatten(-1, (heads, -1)).transpose(2, 3)
        told = self.of_graph(seen, *prior.graph), self.of_reports(seen, *of_reports)
        return torch.cat([seen, *told], 1)

    def look(self, images: Tensor, projections: Tensor, prepared: Prepared) -> Tensor:
        images = self.maps_of(images, prepared.cnn)
        patches = self.visual(images, projections, prepared.cnn).patches
        return self.explore(patches, self.neighbours(images, None), prepared.own)

    def prepare(self) -> Prepared:
        return super().prepare()._replace(own=self.prior(self.tables["reports"]))

    def shares(self, x: Tensor, keys: Tensor, *values: Tensor, **_: object) -> Tensor:
        last = self.last_attention
        assert isinstance(last, GatedAttention)
        return last.look(x, keys, *values)[0]
