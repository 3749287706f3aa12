"""HRGR-Agent, *Hybrid retrieval-generation reinforced agent for medical image report generation*
(Li et al., NeurIPS 2018, 1805.08298, §3), with templates that are found by themselves.

For sentence i = 1, 2, ...: c_i = att(a, h_{i-1}); h_i = LSTM(c_i; h_{i-1}), from zeros;
q_i = σ(W_q h_i); p_stop(i) = σ(w_z h_i), whether to stop before it;
u_i = softmax(W_u q_i) over {0: generate, 1 ... N: templates}. A template is copied. To generate,
c_t = att(a, [e_{t-1}; q_i; h_{t-1}]), h_t = LSTM([c_t; e_{t-1}; q_i]; h_{t-1}), from zeros,
p(w) = softmax(W h_t).

The loss is cross-entropy of stops, of choices and of the words of generated sentences, summed over
a report and divided by its words. `hrgr.choice`: `sum` weighs all sources by u_i, so that a report
has a likelihood and its choices can be rewarded; `argmax` takes the likeliest, as printed.

The paper's templates, chosen by hand, are not public: ours are wordings that many training studies
have (`rcan.data.knowledge.hrgr`), hence the cell's name.

Shapes: B studies, K beams or T words, P patches, L sentences, N templates, d width, Y vocabulary.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.hrgr import Config
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import LSTM, CellOutput, lstm, unroll
from rcan.model.layers.sentences import SentenceModel, at, reweigh, weights_of
from rcan.model.layers.state import TensorState


class Memory(NamedTuple):
    """Of every beam (B, K, ...)."""

    h: Tensor  # (B, K, d), and c, of the generator
    c: Tensor
    number: Tensor  # (B, K, 1) of its sentence, and the place in it of the last word
    place: Tensor
    weights: Tensor  # (B, K, 1 + N) log-weights of the sources
    said: Tensor  # (B, K, Y): the generator's log p of the next word


class Seen(NamedTuple):
    """Of every study."""

    a: Tensor  # (B, P, d), and the generator's keys
    keys: Tensor
    topics: Tensor  # (B, L, 5·d): what q_i brings to the generator's gates and query
    stop: Tensor  # (B, L + 1, 2)
    choice: Tensor  # (B, L, 1 + N) log u_i


class HRGR(SentenceModel[Memory, Seen]):
    """A planner, its choice among templates, a generator."""

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        config = settings.family
        assert isinstance(config, Config)
        super().__init__(
            settings, vocabulary_size, max_sentences=config.hrgr.max_sentences,
            pretrained=pretrained, knowledge=knowledge,
        )  # fmt: skip
        self.hrgr, d = config.hrgr, settings.model.d_model
        self.planner, self.attend_plan = LSTM(d, d), AdditiveAttention(d, d, d)
        self.topic, self.stop = nn.Linear(d, d), nn.Linear(d, 1)
        self.choose = nn.Linear(d, 1 + len(knowledge.kept["templates"]))
        self.attend = AdditiveAttention(d, d, d)  # its query is of h
        self.read_word, self.read_topic = nn.Linear(d, 5 * d), nn.Linear(d, 5 * d, bias=False)
        self.read_image = nn.Linear(d, 4 * d, bias=False)
        self.recurrent = nn.Linear(d, 4 * d, bias=False)

    def look(self, patches: Tensor, num_sentences: int | None = None) -> tuple[Memory, Seen]:
        """`num_sentences`: how many are planned, without it all that a report may have."""
        keys = self.attend_plan.key(patches)
        zeros = patches.new_zeros(len(patches), 1, patches.shape[2])
        h, c, plan = zeros, zeros, []
        for _ in range(num_sentences or self.max_sentences):
            context, _ = self.attend_plan(h, patches, keys)
            h, c = self.planner.cell(self.planner.gates(context), h, c)
            plan.append(h)
        states = torch.cat(plan, 1)  # (B, L, d)
        q = self.topic(states).sigmoid()
        choice = self.choose(q).float().log_softmax(-1)
        seen = Seen(
            patches, self.attend.key(patches), self.read_topic(q),
            self.stops(self.stop(states).squeeze(-1)), choice,
        )  # fmt: skip
        before = torch.full_like(zeros[..., :1], -1, dtype=torch.long)
        said = choice.new_zeros(len(patches), 1, self.words.num_embeddings)
        return Memory(zeros, zeros, before, before, choice[:, :1], said), seen

    def read(self, tokens: Tensor) -> Tensor:
        parts = self.read_word(self.words(self.alike(tokens)))
        return torch.cat([parts, self.begins(tokens)], -1)

    def cell(self, word: Tensor, memory: Memory, seen: Seen) -> tuple[CellOutput, Memory]:
        """The generator, whoever writes the sentence; `word` is `of_topic`."""
        d, begins = memory.h.shape[-1], word[..., -1:] > 0
        h, c = (x.masked_fill(begins, 0.0) for x in (memory.h, memory.c))
        gates, query = word[..., :-1].split([4 * d, d], -1)
        query = (query + self.attend.query(h)).unsqueeze(2)
        weights = self.attend.score(seen.keys.unsqueeze(1), query).softmax(-1)
        h, c = lstm(gates + self.read_image(weights @ seen.a) + self.recurrent(h), c)
        return CellOutput(h, weights), memory._replace(h=h, c=c)

    def of_topic(self, word: Tensor, seen: Seen, number: Tensor) -> Tensor:
        """What words (B, T, 5·d + 1) of `read` and their sentences' q_i bring to the cell."""
        return word + F.pad(at(seen.topics, number), (0, 1))

    def generate(self, output: CellOutput) -> Tensor:
        """The generator's log p (B, T, Y) of the next words."""
        return self.say(self.classifier(self.dropout(output.hidden)))

    def chosen(self, seen: Seen, number: Tensor) -> Tensor:
        """Log-weights (B, T, 1 + N) with which sentences `number` (B, T, 1) begin."""
        choice = at(seen.choice, number)
        if self.hrgr.choice == "sum":
            return choice
        likeliest = F.one_hot(choice.argmax(-1), choice.shape[-1])
        return likeliest.to(choice.dtype).log()

    def copied(self, place: Tensor) -> Tensor:
        """The templates' words behind the word at `place` (B, T, 1) -> ids (B, T, N)."""
        table = self.tables["templates"]  # (N, longest + 1): a template, its ".", padding
        return table.T[place.squeeze(-1).clamp(0, table.shape[1] - 1)]

    def told_by(self, tokens: Tensor, said: Tensor, place: Tensor) -> Tensor:
        """log p_m (B, T, 1 + N) of `tokens` (B, T), by what was `said` behind `place`."""
        generated = said.gather(-1, tokens.unsqueeze(-1))
        match = self.copied(place) == tokens.unsqueeze(-1)
        return torch.cat([generated, match.to(said.dtype).log()], -1)

    def mixed(self, weights: Tensor, said: Tensor, place: Tensor) -> Tensor:
        """log p(w | s) (B, T, Y) of all sources together."""
        generated, copied = weights.exp().tensor_split([1], -1)
        p = (generated * said.exp()).scatter_add(-1, self.copied(place), copied)
        impossible = p == 0  # the logarithm's gradient there would be no number
        return p.masked_fill(impossible, 1.0).log().masked_fill(impossible, float("-inf"))

    def forward(self, batch: Batch) -> Output:
        """Logits of words whoever writes them, or `imitates`; `said` (B, T, Y) by the generator;
        `stop`, `choice` of the plan, no longer than the batch's longest report; `attention`."""
        tokens, patches = batch.tokens[:, :-1], self.visual(batch.images, batch.projections).patches
        begins, number = self.begins(tokens), self.sentence_of(tokens).unsqueeze(-1)
        memory, seen = self.look(patches, self.num_planned(number))
        words = self.of_topic(self.read(tokens), seen, number)
        output = unroll(lambda word, memory: self.cell(word, memory, seen), words, memory)
        assert output.attention is not None
        said = self.generate(output)
        parts = {
            "said": said, "stop": seen.stop, "choice": seen.choice, "attention": output.attention,
        }  # fmt: skip
        if self.imitates:
            return Output(said, parts)
        count = torch.arange(tokens.shape[1], device=tokens.device).view(1, -1, 1)
        place = count - count.mul(begins).cummax(1).values
        told_by = self.told_by(tokens[:, 1:], said[:, :-1], place[:, :-1])
        weights = weights_of(self.chosen(seen, number), F.pad(told_by, (0, 0, 1, 0)), begins)
        mixed = self.mixed(weights, said, place)
        return Output(self.flat(mixed, begins, at(seen.stop, number)), parts)

    def step(self, tokens: Tensor, state: TensorState[Memory, Seen]) -> Tensor:
        before, seen = state.memory, state.seen
        begins = self.begins(tokens)
        number = before.number + begins
        place = (before.place + 1).masked_fill(begins, 0)
        word = F.embedding(tokens, state.prepared.words)
        output, memory = self.cell(self.of_topic(word, seen, number), before, seen)
        said = self.generate(output)
        on = reweigh(before.weights, self.told_by(tokens, before.said, before.place))
        weights = torch.where(begins, self.chosen(seen, number), on)
        state.memory = Memory(memory.h, memory.c, number, place, weights, said)
        return self.flat(self.mixed(weights, said, place), begins, at(seen.stop, number))

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss_stop`, `loss_choice`, `loss_words`, each by word of the report, and their sum."""
        tokens, targets, parts = batch.tokens[:, :-1], batch.tokens[:, 1:], output.parts
        scored, number = self.scored(batch), self.sentence_of(tokens).unsqueeze(-1)
        begins, ends = scored & self.begins(tokens).squeeze(-1), targets == self.eos_id
        stop = at(parts["stop"], number).gather(-1, ends.long().unsqueeze(-1)).squeeze(-1)
        source = at(self.tables.of(batch, "sources").unsqueeze(-1), number)  # (B, T, 1)
        choice = at(parts["choice"], number).gather(-1, source).squeeze(-1)
        words = parts["said"].gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        generated = scored & ~ends & (source.squeeze(-1) == 0)
        by_word = self.by_word(batch, together)
        losses = {
            name: -logprobs.masked_fill(~asked, 0.0).sum() * by_word
            for name, logprobs, asked in (
                ("loss_stop", stop, begins),
                ("loss_choice", choice, begins & ~ends),
                ("loss_words", words, generated),
            )
        }
        parts = {name: loss.detach() for name, loss in losses.items()}
        return {"loss": torch.stack([*losses.values()]).sum(), **parts}


build = HRGR
