"""ASGMD, *Generating radiology reports via auxiliary signal guidance and a memory-driven network*
(Xue et al., Expert Systems with Applications 2024), made causal. Its paper's equations were not at
hand: what follows is the authors' release (shangchengLu/ASGMDN), but for what cannot be meant.

Images are read twice, with one encoder: patches ask topics, T̂ = Enc(a; topics, topics), then
themselves for what was found, Î = Enc(a; a, T̂); the decoder looks at I = LN(T̂ + Î). Recurrent
layers over the words and self-attention over their states drive the decoder's norms, as in R2Gen.

Three things of the release are left out. Its recurrence runs over the *studies* of a batch, both
ways, and its attention over the *whole* report: so a report depended on its neighbours, and in
training each word on those after it. Here both run over the words so far. Its training read the
topics and its generation did not; here both do. Topics have vectors of their own, where the release
looks twenty names up among the words and pads them to the number of patches.

Shapes: B studies, K beams, T words, S patches, d model width, h heads, L layers.
"""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.asgmd import Config
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.conditional import ConditionalModel, Memory
from rcan.model.layers.state import TensorState, write
from rcan.model.layers.topic_loss import topic_loss
from rcan.model.layers.transformer import Attention, Encoder, EncoderLayer
from rcan.model.layers.transformer_model import xavier

NUM_TOPICS = 20  # of rcan.data.knowledge.topics


class TopicEncoder(Encoder):
    """a (B, S, d) -> I (B, S, d)."""

    def __init__(
        self, d_model: int, *, num_layers: int, num_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__(
            d_model, num_layers=num_layers, num_heads=num_heads, d_ff=d_ff, dropout=dropout
        )
        self.topics = nn.Parameter(torch.empty(NUM_TOPICS, d_model))

    def forward(self, a: Tensor, shares: Tensor | None = None) -> Tensor:
        """`shares` (B, n): what each topic is weighed by; None: all by 1."""
        topics = self.topics.unsqueeze(0) * sqrt(a.shape[-1])  # as large as words
        topics = topics if shares is None else topics * shares.unsqueeze(-1)
        found = self._read(a, topics, keys=topics)
        out: Tensor = self.norm(found + self._read(a, found))
        return out

    def _read(self, x: Tensor, values: Tensor, keys: Tensor | None = None) -> Tensor:
        """Every layer asks `keys`, or its own input, for `values` (B or 1, n, d)."""
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            y, attention = layer.norms[0](x), layer.attention
            k = attention.key(y if keys is None else keys)
            k, v = (
                z.unflatten(-1, (attention.num_heads, -1))
                .transpose(1, 2)
                .expand(len(x), -1, -1, -1)
                for z in (k, attention.value(values))
            )
            x = x + layer.dropout(attention(y, k, v))
            x = x + layer.dropout(layer.feed_forward(layer.norms[1](x)))
        x = self.norm(x)
        return x


class States(NamedTuple):
    """Of the recurrent layers after the last word."""

    of_layers: Tensor  # (B, K, L, d)


class Keys(NamedTuple):
    """Keys and values of the words so far, (B, h, T·K, d_k), as a decoder's layer keeps them."""

    keys: Tensor
    values: Tensor


class RecurrentMemory(Memory):
    """GRU layers over the words so far, and self-attention over the last one's states."""

    def __init__(self, d_model: int, *, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.width = d_model
        self.gru = nn.GRU(d_model, d_model, num_layers, batch_first=True)
        self.attention = Attention(d_model, num_heads, dropout)
        xavier(self)

    def forward(self, y: Tensor) -> Tensor:
        x, _ = self.gru(y)
        m: Tensor = self.attention(x, *self.attention.keys_values(x), causal=True)
        return m

    def before(
        self, num_studies: int, num_beams: int, max_length: int, prepared: None
    ) -> TensorState[States, Keys]:
        like, heads = self.attention.key.weight, self.attention.num_heads
        states = like.new_zeros(num_studies, num_beams, self.gru.num_layers, self.width)
        of_heads = (num_studies, heads, max_length * num_beams, self.width // heads)
        return TensorState(States(states), Keys(*like.new_empty(2, *of_heads)))

    def step(
        self, tokens: Tensor, y: Tensor, state: TensorState[States, Keys], mask: Tensor
    ) -> tuple[Tensor, None]:
        B, K, d = y.shape
        states = state.memory.of_layers.flatten(0, 1).transpose(0, 1).contiguous()
        x, states = self.gru(y.view(B * K, 1, d), states)
        state.memory = States(states.transpose(0, 1).unflatten(0, (B, K)))
        x = x.view(B, K, d)
        keys, values = write(state.seen, self.attention.keys_values(x), mask.shape[-1])
        return self.attention(x, keys, values, mask=mask), None


class ASGMD(ConditionalModel):
    """`asgmd.topics: predicted`: a linear layer over the mean patch says how likely each is."""

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        assert isinstance(settings.family, Config)
        model, own = settings.model, settings.family.asgmd
        encoder = TopicEncoder(
            model.d_model, num_layers=model.num_encoder_layers, num_heads=model.num_heads,
            d_ff=model.d_ff, dropout=model.dropout,
        )  # fmt: skip
        memory = RecurrentMemory(
            model.d_model, num_layers=own.memory_layers, num_heads=own.memory_heads,
            dropout=model.dropout,
        )  # fmt: skip
        super().__init__(
            settings, vocabulary_size, encoder, memory, two_dropouts=True,
            patch_dropout=own.patch_dropout, pretrained=pretrained, knowledge=knowledge,
        )  # fmt: skip
        self.tell_topics = None
        if own.topics == "predicted":
            self.tell_topics = nn.Linear(model.d_model, NUM_TOPICS)

    def encode(self, patches: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.tell_topics is None:
            return super().encode(patches)
        logits = self.tell_topics(patches.mean(1))
        return self.encoder(patches, logits.sigmoid()), {"topics": logits}

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """Cross-entropy of words and, where they are predicted, that of topics."""
        losses = super().losses(output, batch, together)
        if "topics" in output.parts:
            true = self.tables.of(batch, "topics")
            of_topics = topic_loss(output.parts["topics"], true, together)
            losses |= {"loss": losses["loss"] + of_topics, "loss_topics": of_topics.detach()}
        return losses


build = ASGMD
