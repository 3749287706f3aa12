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
from rcan.model.layers.recurrent import M, RecurrentModel, S

NEVER = -1e9  # a log-probability of 0 whose gradient is 0, too


class SentenceModel(RecurrentModel[M, S]):
    """Base of families that plan sentences.

    `knowledge.kept["marks"]`: the ids of bos, "." and eos. A family's `read` makes the last column
    of what a word brings `begins`, and reads `alike`; its `tell` gives `flat` log-probabilities.
    """

    def __init__(
        self, settings: Settings, vocabulary_size: int, knowledge: Knowledge, *,
        max_sentences: int, pretrained: bool, d_word: int | None = None,
        d_hidden: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            settings, vocabulary_size, pretrained=pretrained, knowledge=knowledge, d_word=d_word,
            d_hidden=d_hidden,
        )  # fmt: skip
        self.max_sentences = max_sentences
        self.bos_id, self.stop_id, self.eos_id = knowledge.kept["marks"].tolist()

    def begins(self, tokens: Tensor) -> Tensor:
        """Whether a sentence begins after each of `tokens` (...) -> (..., 1) bool."""
        starts: Tensor = (tokens == self.bos_id) | (tokens == self.stop_id)
        return starts.unsqueeze(-1)

    def alike(self, tokens: Tensor) -> Tensor:
        """`tokens` (...) with "." in the place of bos."""
        return tokens.masked_fill(tokens == self.bos_id, self.stop_id)

    def numbers(self, tokens: Tensor) -> Tensor:
        """Of whole reports (B, T): which sentence, from 0, the word after each is of."""
        return self.begins(tokens).squeeze(-1).cumsum(1) - 1

    def stops(self, z: Tensor) -> Tensor:
        """(B, max_sentences + 1, 2): log(1 - p_stop), log p_stop of logits z (B, max_sentences)."""
        z = z.float()
        chosen = torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], -1)
        last = chosen.new_tensor([[float("-inf"), 0.0]])
        return torch.cat([chosen, last.expand(len(z), 1, 2)], 1)

    def say(self, logits: Tensor) -> Tensor:
        """log p(w | s) of logits (..., Y), of all words but eos."""
        eos = torch.arange(logits.shape[-1], device=logits.device) == self.eos_id
        return logits.float().masked_fill(eos, NEVER).log_softmax(-1)

    def flat(self, said: Tensor, begins: Tensor, stop: Tensor) -> Tensor:
        """Log-probabilities of the next words, eos among them (..., Y).

        said (..., Y): log p(w | s); begins (..., 1); stop (..., 2) of `stops`, at sentence s.
        """
        go_on, end = stop.float().split(1, -1)
        said = said + go_on.masked_fill(~begins, 0.0)
        eos = torch.arange(said.shape[-1], device=said.device) == self.eos_id
        return torch.where(eos, end.masked_fill(~begins, float("-inf")), said)

    def told(self, batch: Batch) -> Tensor:
        """Which words of reports, (B, T), count in a loss: those that can be said, and so not the
        eos of a report that was cut inside a sentence, nor what is after `max_sentences`."""
        tokens, targets = batch.tokens[:, :-1], batch.tokens[:, 1:]
        told = (targets != batch.pad_id) & (self.numbers(tokens) < self.max_sentences)
        can_end: Tensor = (targets != self.eos_id) | self.begins(tokens).squeeze(-1)
        return told & can_end

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss`, `loss_ce`: -log p of the report by word, of stops and words alike."""
        logprobs = output.logits.gather(-1, batch.tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
        told = self.told(batch)
        loss = -logprobs.masked_fill(~told, 0.0).sum() / told.sum().clamp(min=1)
        loss = loss * together.share_of_tokens(told.long(), pad_id=0)
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


def reweigh(weights: Tensor, told: Tensor) -> Tensor:
    """Log-weights (..., M) of the sources after a word that they give log p_m `told` (..., M).

    A word that none of them would say, eos, leaves them as they are.
    """
    none = ((told <= NEVER) | (weights == float("-inf"))).all(-1, keepdim=True)
    return torch.where(none, weights, (weights + told).masked_fill(none, 0.0).log_softmax(-1))


def weights_of(chosen: Tensor, told: Tensor, begins: Tensor) -> Tensor:
    """Log-weights (B, T, M) of the sources after each word of whole reports.

    `chosen` (B, T, M): those with which the word's sentence begins; `told` (B, T, M): log p_m of
    the word itself; `begins` (B, T, 1): whether a sentence begins after it.
    """
    weights, found = chosen[:, 0], []
    for of_sentence, word, begin in zip(
        chosen.unbind(1), told.unbind(1), begins.unbind(1), strict=True
    ):
        weights = torch.where(begin, of_sentence, reweigh(weights, word))
        found.append(weights)
    return torch.stack(found, 1)
