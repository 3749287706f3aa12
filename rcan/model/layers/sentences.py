"""Reports as sentences: when they begin, when the report stops, which of several sources writes.

A sentence ends with "."; after bos and after "." the next one, s, begins, and there
p(eos) = p_stop(s), p(w) = (1 - p_stop(s)) p(w | s) for other words; inside a sentence p(eos) = 0,
p(w) = p(w | s). Both sum to 1, so that search, sampling and rewards are those of any family.
After `max_sentences` sentences p_stop is 1. bos is read as ".", so that all sentences begin alike.

Several sources m, writers or templates, may have a sentence: p(w) = Σ_m weight_m p_m(w), and when
w is read weight_m ∝ weight_m p_m(w).

Shapes: B studies, K beams (T words when all are told at once), M sources, Y vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rcan.config import Settings
from rcan.model.interface import Batch, Knowledge, Output, Together
from rcan.model.layers.recurrent import RecurrentModel
from rcan.model.layers.state import M, S

NEVER = -1e9  # a log-probability of 0 whose gradient is 0, too


class SentenceModel(RecurrentModel[M, S]):
    """Base of families that plan sentences.

    `knowledge.kept["marks"]`: the ids of bos, "." and eos. A family's `read` makes the last column
    of what a word brings `begins`, and reads `alike`; its `tell` gives `flat` log-probabilities.
    """

    is_eos: Tensor

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, max_sentences: int, pretrained: bool,
        knowledge: Knowledge,
    ) -> None:  # fmt: skip
        super().__init__(settings, vocabulary_size, pretrained=pretrained, knowledge=knowledge)
        self.max_sentences = max_sentences
        self.bos_id, self.stop_id, self.eos_id = knowledge.kept["marks"].tolist()
        is_eos = torch.arange(vocabulary_size) == self.eos_id
        self.register_buffer("is_eos", is_eos, persistent=False)

    @property
    def imitates(self) -> bool:
        """Whether it learns from sentences whose source is told: then no `losses` reads its
        logits, and those of one source stand for them."""
        return self.training and self.phase == "words"

    def begins(self, tokens: Tensor) -> Tensor:
        """Whether a sentence begins after each of `tokens` (...) -> (..., 1) bool."""
        starts: Tensor = (tokens == self.bos_id) | (tokens == self.stop_id)
        return starts.unsqueeze(-1)

    def alike(self, tokens: Tensor) -> Tensor:
        """`tokens` (...) with "." in the place of bos."""
        return tokens.masked_fill(tokens == self.bos_id, self.stop_id)

    def sentence_of(self, tokens: Tensor) -> Tensor:
        """Of whole reports (B, T): which sentence, from 0, the word after each is of."""
        return self.begins(tokens).squeeze(-1).cumsum(1) - 1

    def num_planned(self, number: Tensor) -> int:
        """How many sentences to plan for words of sentences `number`: in training no more."""
        most = int(number.max()) + 1 if self.training else self.max_sentences
        return min(most, self.max_sentences)

    def stops(self, z: Tensor) -> Tensor:
        """(B, L + 1, 2): log(1 - p_stop), log p_stop of logits z (B, L), and of the end after."""
        z = z.float()
        chosen = torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], -1)
        last = chosen.new_tensor([[float("-inf"), 0.0]])
        return torch.cat([chosen, last.expand(len(z), 1, 2)], 1)

    def say(self, logits: Tensor) -> Tensor:
        """log p(w | s) of logits (..., Y), of all words but eos."""
        return logits.float().masked_fill(self.is_eos, NEVER).log_softmax(-1)

    def flat(self, said: Tensor, begins: Tensor, stop: Tensor) -> Tensor:
        """Log-probabilities of the next words, eos among them (..., Y).

        said (..., Y): log p(w | s); begins (..., 1); stop (..., 2) of `stops`, at sentence s.
        """
        go_on, end = stop.float().split(1, -1)
        said = said + go_on.masked_fill(~begins, 0.0)
        return torch.where(self.is_eos, end.masked_fill(~begins, float("-inf")), said)

    def scored(self, batch: Batch) -> Tensor:
        """Which words of reports, (B, T), count in a loss: those that can be said, and so not the
        eos of a report that was cut inside a sentence, nor what is after `max_sentences`."""
        tokens, targets = batch.tokens[:, :-1], batch.tokens[:, 1:]
        scored = (targets != batch.pad_id) & (self.sentence_of(tokens) < self.max_sentences)
        can_end: Tensor = (targets != self.eos_id) | self.begins(tokens).squeeze(-1)
        return scored & can_end

    def by_word(self, batch: Batch, together: Together) -> Tensor:
        """What makes of a sum over the batch a mean over the `scored` words of all processes."""
        scored = self.scored(batch).long()
        return together.share_of_tokens(scored, pad_id=0) / scored.sum().clamp(min=1)

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss`, `loss_ce`: -log p of the report by word, of stops and words alike."""
        logprobs = output.logits.gather(-1, batch.tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
        total = logprobs.masked_fill(~self.scored(batch), 0.0).sum()
        loss = -total * self.by_word(batch, together)
        return {"loss": loss, "loss_ce": loss.detach()}


def at(plan: Tensor, number: Tensor) -> Tensor:
    """What a plan (B, sentences, n) has for sentence `number` (B, K, 1) of each beam, (B, K, n).

    Before the first sentence that of the first, beyond the last that of the last.
    """
    number = number.clamp(0, plan.shape[1] - 1)
    return plan.gather(1, number.expand(-1, -1, plan.shape[-1]))


def mix(weights: Tensor, said: Tensor) -> Tensor:
    """log Σ_m weight_m p_m(w): log-weights (..., M), log p_m (..., M, Y) -> (..., Y)."""
    return (weights.unsqueeze(-1) + said).logsumexp(-2)


def reweigh(weights: Tensor, logprobs: Tensor) -> Tensor:
    """Log-weights (..., M) of the sources after a word that they give `logprobs` (..., M).

    A word that none of them would say, eos, leaves them as they are.
    """
    none = ((logprobs <= NEVER) | (weights == float("-inf"))).all(-1, keepdim=True)
    return torch.where(none, weights, (weights + logprobs).masked_fill(none, 0.0).log_softmax(-1))


def weights_of(chosen: Tensor, logprobs: Tensor, begins: Tensor) -> Tensor:
    """Log-weights (B, T, M) of the sources after each word of whole reports.

    `chosen` (B, T, M): those with which the word's sentence begins; `logprobs` (B, T, M): of
    the word itself; `begins` (B, T, 1): whether a sentence begins after it.
    """
    weights, found = chosen[:, 0], []
    for of_sentence, word, begin in zip(
        chosen.unbind(1), logprobs.unbind(1), begins.unbind(1), strict=True
    ):
        weights = torch.where(begin, of_sentence, reweigh(weights, word))
        found.append(weights)
    return torch.stack(found, 1)
