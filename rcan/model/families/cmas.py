"""CMAS, *Show, describe and conclude* (Jing et al., ACL 2019, 2004.12274): a planner, two writers.

Before sentence i, with what it looks at, z = att(a; g_{i-1}), and the mean embedding r_{i-1} of the
words of the sentence before it, the planner decides between to stop and who is to write:

    (g, c)_i = LSTM([z; r_{i-1}]; (g, c)_{i-1}),  π_i = softmax(W g_i + b)
    over {stop, normal, abnormal}, all from zeros.

Two writers of one form, with weights of their own, for normal and for abnormal sentences:

    (h, s)_t = LSTM([E y_{t-1}; att(a; h_{t-1}); g_i]; (h, s)_{t-1}),  p_t = softmax(W_o h_t + b_o).

First they imitate: -log π of each action and -log p of each word by the writer whose sentence it is
(`rcan.data.knowledge.cmas`). Then, by `reward.share`, what a sentence adds to BLEU-4 is raised.

A report is written by no known sequence of actions: its probability is a sum over both writers of
each sentence, the weights those of `layers.sentences`. To sample an action and then the words, as
the paper does, is to sample from that sum; its gradient has less noise. As the planner reads words,
not writers' states, it needs no writer in training and the writers run over whole reports.

Readings, for want of details: the planner's inputs, the action before not among them. Left out:
the second stage, which writes impressions; a CNN of ChestX-ray8.

Shapes: B studies, K beams, T words, N sentences, S patches, d model width, Y vocabulary.
"""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.cmas import Config
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import LSTM, CellOutput, lstm, unroll
from rcan.model.layers.sentences import SentenceModel, at, mix, reweigh, weights_of
from rcan.model.layers.state import TensorState

WRITERS = 2  # of normal and of abnormal sentences


class Memory(NamedTuple):
    number: Tensor  # (B, K, 1) int64: which sentence is written, from 0; -1 before the first
    total: Tensor  # (B, K, d): sum of the embeddings of its words
    words: Tensor  # (B, K, 1): how many they are
    g: Tensor  # (B, K, d)
    c: Tensor
    h: Tensor  # (B, K, 2, d): the writers'
    s: Tensor  # (B, K, 2, d): and their cells
    gates: Tensor  # (B, K, 2, 4·d): what the plan brings to theirs
    weights: Tensor  # (B, K, 2): log-weights of the writers
    said: Tensor  # (B, K, 2, Y): the log-probabilities that each has given last


class Seen(NamedTuple):
    a: Tensor  # (B, S, d)
    keys: Tensor  # (B, S, d): the planner's
    writers_keys: Tensor  # (B, 2, S, d)


class Writer(nn.Module):
    """One writer. `context`, of patches, is applied once a study, not once a word."""

    def __init__(self, d: int, vocabulary_size: int) -> None:
        super().__init__()
        self.input = nn.Linear(d, 4 * d)
        self.plan = nn.Linear(d, 4 * d, bias=False)
        self.recurrent = nn.Linear(2 * d, 4 * d, bias=False)  # of h and what is looked at
        self.attend = AdditiveAttention(d, d, d)
        self.classifier = nn.Linear(d, vocabulary_size)
        nn.init.uniform_(self.classifier.weight, -0.1, 0.1)
        nn.init.zeros_(self.classifier.bias)

    def cell(
        self, word: Tensor, memory: tuple[Tensor, Tensor], values: Tensor, keys: Tensor
    ) -> tuple[CellOutput, tuple[Tensor, Tensor]]:
        """One word further: word (B, K, 4·d + 1), of word and plan to the gates, and whether a
        sentence begins; h and s (B, K, d)."""
        gates, goes_on = word[..., :-1], 1 - word[..., -1:]
        h, s = (x * goes_on for x in memory)
        z, weights = self.attend(h, values, keys)
        h, s = lstm(gates + self.recurrent(torch.cat([h, z], -1)), s)
        return CellOutput(h, weights), (h, s)


class CMAS(SentenceModel[Memory, Seen]):
    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool, knowledge: Knowledge
    ) -> None:
        config = settings.family
        assert isinstance(config, Config)
        super().__init__(
            settings, vocabulary_size, max_sentences=config.cmas.max_sentences,
            pretrained=pretrained, knowledge=knowledge,
        )  # fmt: skip
        d = settings.model.d_model
        del self.classifier  # each writer has its own
        self.normal, self.abnormal = Writer(d, vocabulary_size), Writer(d, vocabulary_size)
        self.attend = AdditiveAttention(d, d, d)
        self.planner = LSTM(2 * d, d)
        self.act = nn.Linear(d, 1 + WRITERS)

    @property
    def writers(self) -> tuple[Writer, Writer]:
        """By number: the planner's action m + 1 is writer m."""
        return self.normal, self.abnormal

    def look(self, patches: Tensor) -> tuple[Memory, Seen]:
        """The planner has planned the first sentence, which follows from the images alone."""
        a, zeros = patches, patches.new_zeros(len(patches), 1, patches.shape[-1])
        keys = torch.stack([writer.attend.key(a) for writer in self.writers], 1)
        seen = Seen(a, self.attend.key(a), keys)
        g, c = self.plan(zeros, zeros, zeros, seen)
        number = torch.full_like(zeros[..., :1], -1, dtype=torch.int64)
        h = zeros.unsqueeze(2).expand(-1, -1, WRITERS, -1)
        said = h.new_zeros(len(a), 1, WRITERS, self.words.num_embeddings)
        gates, weights = self.planned(g), self.actions(g)[1]
        return Memory(number, zeros, zeros[..., :1], g, c, h, h, gates, weights, said), seen

    def plan(self, r: Tensor, g: Tensor, c: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
        """g and c of the sentence after the one of r, (B, K, d) all."""
        z, _ = self.attend(g, seen.a, seen.keys)
        return self.planner.cell(self.planner.gates(torch.cat([z, r], -1)), g, c)

    def planned(self, g: Tensor) -> Tensor:
        """What plans g (B, n, d) bring to the gates of both writers, (B, n, 2, 4·d)."""
        return torch.stack([writer.plan(g) for writer in self.writers], 2)

    def actions(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """The logit of π_stop (B, n), and log-weights (B, n, 2) of the writers if it goes on."""
        stop, writers = self.act(g).float().split([1, WRITERS], -1)
        return stop.squeeze(-1) - writers.logsumexp(-1), writers.log_softmax(-1)

    def read(self, tokens: Tensor) -> Tensor:
        y = self.words(self.alike(tokens))
        return torch.cat([y, *(w.input(y) for w in self.writers), self.begins(tokens)], -1)

    def parts(self, words: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Of what `read` gave: embeddings (..., d), of each writer's gates (..., 4·d), whether a
        sentence begins (..., 1)."""
        d = self.act.in_features
        y, *gates, begins = words.split([d, *[4 * d] * WRITERS, 1], -1)
        return y, gates, begins

    def forward(self, batch: Batch) -> Output:
        """Logits of words whoever writes them, or `imitates`; by word (B, T, ...) `stop` and
        `chosen` (2) of `actions`, `said` (2, Y) by each writer; `attention` (B, T, S)."""
        memory, seen = self.look(self.visual(batch.images, batch.projections).patches)
        tokens = batch.tokens[:, :-1]
        y, gates, new = self.parts(self.read(tokens))
        begins, number = self.begins(tokens), self.sentence_of(tokens).unsqueeze(-1)
        g = self.plans(y, number, memory, seen)  # (B, N, d)
        stop, chosen = self.actions(g)
        hidden, looked = [], []
        for m, writer in enumerate(self.writers):
            words = torch.cat([gates[m] + at(writer.plan(g), number), new], -1)
            cell = partial(writer.cell, values=seen.a, keys=seen.writers_keys[:, m])
            output = unroll(cell, words, (memory.h[:, :, m], memory.s[:, :, m]))
            assert output.attention is not None
            hidden.append(output.hidden)
            looked.append(output.attention)
        said = self.tell_both(torch.stack(hidden, 2))
        chosen, stop = at(chosen, number), at(self.stops(stop), number)
        parts = {"stop": stop, "chosen": chosen, "said": said}
        if self.imitates:
            return Output(said[:, :, 0], parts)
        of_words = said[:, :-1].gather(-1, _each(tokens[:, 1:])).squeeze(-1)
        weights = weights_of(chosen, F.pad(of_words, (0, 0, 1, 0)), begins)
        attention = (weights.exp().unsqueeze(-1) * torch.stack(looked, 2)).sum(2)
        logits = self.flat(mix(weights, said), begins, stop)
        return Output(logits, {**parts, "attention": attention})

    def plans(self, y: Tensor, number: Tensor, memory: Memory, seen: Seen) -> Tensor:
        """g (B, N, d) of the sentences of whole reports, of their embeddings y (B, T, d)."""
        most = self.num_planned(number)
        # Whose words are in which sentence, (B, N - 1, T - 1): that of the word before told it.
        among = number[:, :-1] == torch.arange(most - 1, device=y.device)
        of = among.transpose(1, 2).to(y.dtype)
        means = of @ y[:, 1:] / of.sum(-1, keepdim=True).clamp(min=1)
        g, c = memory.g, memory.c
        found = [g]
        for r in means.unbind(1):
            g, c = self.plan(r.unsqueeze(1), g, c, seen)
            found.append(g)
        return torch.cat(found, 1)

    def tell_both(self, h: Tensor) -> Tensor:
        """log p_m(w | s) (B, n, 2, Y) of the writers' h (B, n, 2, d)."""
        of_each = zip(self.writers, self.dropout(h).unbind(2), strict=True)
        return self.say(torch.stack([w.classifier(x) for w, x in of_each], 2))

    def step(self, tokens: Tensor, state: TensorState[Memory, Seen]) -> Tensor:
        was, seen = state.memory, state.seen
        y, gates, new = self.parts(F.embedding(tokens, state.prepared.words))
        begins, number = new > 0, was.number + (new > 0)
        known = was.number >= 0
        total, words = was.total + y * known, was.words + known
        moves = begins & (number > 0) & (number < self.max_sentences)
        g, c, of_plan = self.move_on(moves, total / words.clamp(min=1), was, seen)
        stop, chosen = self.actions(g)
        stops = self.stops(stop)
        stop = torch.where(number < self.max_sentences, stops[:, :-1], stops[:, -1:])
        both = [
            writer.cell(
                torch.cat([gates[m] + of_plan[:, :, m], new], -1),
                (was.h[:, :, m], was.s[:, :, m]), seen.a, seen.writers_keys[:, m],
            )[1]
            for m, writer in enumerate(self.writers)
        ]  # fmt: skip
        h, s = (torch.stack(x, 2) for x in zip(*both, strict=True))
        of_word = was.said.gather(-1, _each(tokens)).squeeze(-1)
        weights = torch.where(begins, chosen, reweigh(was.weights, of_word))
        said = self.tell_both(h)
        goes_on = ~begins
        state.memory = Memory(
            number, total * goes_on, words * goes_on, g, c, h, s, of_plan, weights, said
        )  # fmt: skip
        return self.flat(mix(weights, said), begins, stop)

    def move_on(
        self, moves: Tensor, r: Tensor, was: Memory, seen: Seen
    ) -> tuple[Tensor, Tensor, Tensor]:
        """g, c and `gates` of the beams' plans, where it `moves` (B, K, 1) those of the next."""
        here = moves.squeeze(-1).nonzero(as_tuple=True)  # studies, beams
        seen = seen._replace(a=seen.a[here[0]], keys=seen.keys[here[0]])
        r, g, c = (x[here].unsqueeze(1) for x in (r, was.g, was.c))
        g, c = self.plan(r, g, c, seen)
        planned = zip((was.g, was.c, was.gates), (g, c, self.planned(g)), strict=True)
        g, c, gates = (x.index_put(here, new.squeeze(1).to(x.dtype)) for x, new in planned)
        return g, c, gates

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss_actions`, `loss_words`: -log π and -log p, by word of the report, and their sum.

        The writers of sentences are those of the training studies.
        """
        tokens, targets, scored = batch.tokens[:, :-1], batch.tokens[:, 1:], self.scored(batch)
        begins, number = self.begins(tokens).squeeze(-1), self.sentence_of(tokens).unsqueeze(-1)
        ends = targets == self.eos_id
        writer = at(self.tables.of(batch, "abnormal").unsqueeze(-1), number)  # (B, T, 1)
        go_on, stop = output.parts["stop"].unbind(-1)
        chosen = go_on + output.parts["chosen"].gather(-1, writer).squeeze(-1)
        of_actions = torch.where(ends, stop, chosen)[scored & begins].sum()
        said = output.parts["said"].gather(-1, _each(targets)).squeeze(-1)  # (B, T, 2)
        of_words = said.gather(-1, writer).squeeze(-1)[scored & ~ends].sum()
        by_word = self.by_word(batch, together)
        loss_actions, loss_words = -of_actions * by_word, -of_words * by_word
        return {
            "loss": loss_actions + loss_words,
            "loss_actions": loss_actions.detach(), "loss_words": loss_words.detach(),
        }  # fmt: skip


def _each(tokens: Tensor) -> Tensor:
    """Tokens (B, n) as an index of what both writers say of a word, (B, n, 2, 1)."""
    return tokens[..., None, None].expand(-1, -1, WRITERS, 1)


build = CMAS
