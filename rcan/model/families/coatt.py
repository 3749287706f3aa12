"""CoAtt, *On the automatic generation of medical imaging reports* (Jing et al., 1711.08195, §3).

Tags p = softmax(MLC(ā)); of the likeliest, embedded, b_m. For sentence s = 1, 2, ...:
α_v ∝ exp(wᵀ tanh(W_v a_i + W_vh h^{s-1})), α_b likewise of b_m;
ctx = W_fc [Σ α_v a_i; Σ α_b b_m]; h^s = LSTM(ctx; h^{s-1}), from zeros;
topic t^s = tanh(W_1 h^s + W_2 ctx); p_stop(s) = σ(w tanh(W_3 h^{s-1} + W_4 h^s)).
The word LSTM reads t^s, "." and the words of the sentence, from zeros; p(w) = softmax(W_o h).

A report's loss is the sum of -log p of its words and stops, of the tags' cross-entropy to l/‖l‖₁
and of Σ_i (1 - Σ_s α_si)² over both attentions; here all is divided by its words.

The plan reads no words: all topics are known before the first. Left out: the paper's VGG-19, and
its split of images, which has views of one study on both sides.

Shapes: B studies, K beams or T words, P patches, N tags looked at, L sentences, d model width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.coatt import Config
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import LSTM, CellOutput, unroll
from rcan.model.layers.sentences import SentenceModel, at
from rcan.model.layers.state import TensorState


class Memory(NamedTuple):
    """Of every beam: the word LSTM (B, K, d), and which sentence it writes (B, K, 1)."""

    h: Tensor
    c: Tensor
    number: Tensor


class Seen(NamedTuple):
    """The plan of a study's report."""

    topics: Tensor  # (B, L, 2·d): h and c of the word LSTM that has read each
    stop: Tensor  # (B, L + 1, 2)
    attention: Tensor  # (B, L, P), rows sum to 1
    tag_attention: Tensor  # (B, L, N)
    tags: Tensor  # (B, all tags) logits


class CoAtt(SentenceModel[Memory, Seen]):
    """Co-attention over patches and tags, a sentence LSTM, a word LSTM."""

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        config = settings.family
        assert isinstance(config, Config)
        super().__init__(
            settings, vocabulary_size, max_sentences=config.coatt.max_sentences,
            pretrained=pretrained, knowledge=knowledge,
        )  # fmt: skip
        self.coatt, d = config.coatt, settings.model.d_model
        num_tags = int(knowledge.kept["num_tags"])
        self.classify = nn.Linear(d, num_tags)
        self.tags = nn.Embedding(num_tags, d)
        self.attend_patches, self.attend_tags = (AdditiveAttention(d, d, d) for _ in range(2))
        self.context = nn.Linear(2 * d, d)
        self.planner, self.writer = LSTM(d, d), LSTM(d, d)
        self.topic, self.stop = (
            nn.Linear(2 * d, d),
            nn.Sequential(nn.Linear(2 * d, d), nn.Tanh(), nn.Linear(d, 1)),
        )

    def look(self, patches: Tensor, num_sentences: int | None = None) -> tuple[Memory, Seen]:
        """`num_sentences`: how many are planned, without it all that a report may have."""
        tags = self.classify(patches.mean(1))
        likeliest = tags.topk(min(self.coatt.num_tags, tags.shape[1])).indices
        b = self.tags(likeliest)  # (B, N, d)
        keys, tag_keys = self.attend_patches.key(patches), self.attend_tags.key(b)
        zeros = patches.new_zeros(len(patches), 1, patches.shape[2])
        h, c, plan = zeros, zeros, []
        for _ in range(num_sentences or self.max_sentences):
            before = h
            v, alpha = self.attend_patches(before, patches, keys)
            u, beta = self.attend_tags(before, b, tag_keys)
            context = self.context(torch.cat([v, u], -1))
            h, c = self.planner.cell(self.planner.gates(context), before, c)
            plan.append((before, h, context, alpha, beta))
        before, after, context, alpha, beta = (torch.cat(x, 1) for x in zip(*plan, strict=True))
        topics = self.topic(torch.cat([after, context], -1)).tanh()
        none = torch.zeros_like(topics)
        started = torch.cat(self.writer.cell(self.writer.gates(topics), none, none), -1)
        z = self.stop(torch.cat([before, after], -1)).squeeze(-1)
        if self.coatt.stop == "with":  # s was told to be the last one: there is no s + 1
            z = F.pad(z[:, :-1], (1, 0), value=float("-inf"))
        number = torch.full_like(zeros[..., :1], -1, dtype=torch.long)
        seen = Seen(started, self.stops(z), alpha, beta, tags)
        return Memory(zeros, zeros, number), seen

    def read(self, tokens: Tensor) -> Tensor:
        gates = self.writer.gates(self.words(self.alike(tokens)))
        return torch.cat([gates, self.begins(tokens)], -1)

    def of_topic(self, word: Tensor, seen: Seen, number: Tensor) -> Tensor:
        """What words bring (B, T, 4·d + 1), and h and c that have read the topics of `number`."""
        return torch.cat([at(seen.topics, number), word], -1)

    def cell(self, word: Tensor, memory: Memory, seen: Seen) -> tuple[CellOutput, Memory]:
        """`word`: `of_topic`."""
        d, begins = memory.h.shape[-1], word[..., -1:] > 0
        h, c, gates = word[..., :-1].split([d, d, 4 * d], -1)
        h, c = torch.where(begins, h, memory.h), torch.where(begins, c, memory.c)
        h, c = self.writer.cell(gates, h, c)
        return CellOutput(h), memory._replace(h=h, c=c)

    def write(self, output: CellOutput, begins: Tensor, seen: Seen, number: Tensor) -> Tensor:
        """Log-probabilities (B, T, Y) of the next words of sentences `number` (B, T, 1)."""
        said = self.say(self.classifier(self.dropout(output.hidden)))
        return self.flat(said, begins, at(seen.stop, number))

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words; `attention` (B, T, P); `tags` (B, all tags); of the plan, no
        longer than the batch's longest report, `plan` (B, L, P + N)."""
        tokens, patches = batch.tokens[:, :-1], self.visual(batch.images, batch.projections).patches
        number = self.sentence_of(tokens).unsqueeze(-1)
        memory, seen = self.look(patches, self.num_planned(number))
        words = self.of_topic(self.read(tokens), seen, number)
        output = unroll(lambda word, memory: self.cell(word, memory, seen), words, memory)
        plan = torch.cat([seen.attention, seen.tag_attention], -1)
        parts = {"attention": at(seen.attention, number), "tags": seen.tags, "plan": plan}
        return Output(self.write(output, self.begins(tokens), seen, number), parts)

    def step(self, tokens: Tensor, state: TensorState[Memory, Seen]) -> Tensor:
        seen, begins = state.seen, self.begins(tokens)
        number = state.memory.number + begins
        word = self.of_topic(F.embedding(tokens, state.prepared.words), seen, number)
        output, memory = self.cell(word, state.memory, seen)
        state.memory = memory._replace(number=number)
        return self.write(output, begins, seen, number)

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss_ce`: of words and stops; `loss_tags`, `loss_attention`: by word, with their λ."""
        losses = super().losses(output, batch, together)
        plan, by_word = output.parts["plan"].float(), self.by_word(batch, together)
        words = self.scored(batch) & (batch.tokens[:, 1:] != self.eos_id)
        last = self.sentence_of(batch.tokens[:, :-1]).masked_fill(~words, -1).amax(1, keepdim=True)
        written = torch.arange(plan.shape[1], device=plan.device) <= last  # (B, L)
        missed = (1 - (plan * written.unsqueeze(-1)).sum(1)).square().sum()
        shares = self.tables.of(batch, "tags")
        tags = -(shares * output.parts["tags"].float().log_softmax(-1)).sum()
        loss_tags = self.coatt.lambda_tags * tags * by_word
        loss_attention = self.coatt.lambda_attention * missed * by_word
        return {
            **losses, "loss": losses["loss"] + loss_tags + loss_attention,
            "loss_tags": loss_tags.detach(), "loss_attention": loss_attention.detach(),
        }  # fmt: skip


build = CoAtt
