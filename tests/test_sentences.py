"""Reports as sentences: where they begin, how a report ends, which source writes."""

import math

import pytest
import torch
from model_parts import BOS, EOS, PAD, VOCABULARY, close, settings_with, tiny_model
from torch import Tensor

from rcan.data.batches import Batch
from rcan.model.interface import Alone, Knowledge, Output
from rcan.model.layers.sentences import SentenceModel, at, mix, reweigh, weights_of

STOP, A, B = 3, 4, 5  # "." and two words


@pytest.fixture(scope="module")
def model() -> SentenceModel:
    marks = Knowledge({"marks": torch.tensor([BOS, STOP, EOS])})
    return SentenceModel(
        settings_with({}), VOCABULARY, max_sentences=2, pretrained=False, knowledge=marks
    )


def told(model: SentenceModel, tokens: Tensor, z: Tensor) -> Tensor:
    """Flat log-probabilities of reports (B, T), all words alike within a sentence."""
    stop = at(model.stops(z), model.sentence_of(tokens).unsqueeze(-1))
    said = model.say(torch.zeros(*tokens.shape, VOCABULARY))
    return model.flat(said, model.begins(tokens), stop)


def test_a_report_may_end_where_a_sentence_begins_and_must_after_the_last(model):
    tokens = torch.tensor([[BOS, A, STOP, STOP, A]])
    assert model.sentence_of(tokens).tolist() == [[0, 0, 1, 2, 2]]
    assert model.alike(tokens).tolist() == [[STOP, A, STOP, STOP, A]]
    p = told(model, tokens, torch.tensor([[0.0, math.log(3)]])).exp()[0]
    assert close(p.sum(-1), torch.ones(5))
    assert close(p[:, EOS], torch.tensor([0.5, 0, 0.75, 1, 0]))
    assert close(p[:, A], torch.tensor([0.5, 1, 0.25, 0, 1]) / (VOCABULARY - 1))


def test_what_cannot_be_said_is_not_asked_for(model):
    z = torch.zeros(2, 2, requires_grad=True)
    cut = [BOS, A, EOS, PAD, PAD, PAD, PAD]  # inside its first sentence
    long = [BOS, STOP, STOP, B, STOP, EOS, PAD]  # three sentences: the third is not told
    tokens = torch.tensor([cut, long])
    losses = model.losses(
        Output(told(model, tokens[:, :-1], z)), Batch(tokens, tokens, tokens, PAD), Alone()
    )
    # Three first words are told, each one of 13 that have half of the probability together.
    assert losses["loss"].item() == pytest.approx(math.log(2 * (VOCABULARY - 1)))
    losses["loss"].backward()
    assert close(z.grad, torch.tensor([[1, 0], [1, 1]]) / 6)


@torch.no_grad()
def test_a_plan_of_fewer_sentences_is_the_beginning_of_the_whole_one(model):
    number = torch.tensor([[0, 0, 1], [0, 0, 0]])
    assert model.train().num_planned(number) == 2 and model.num_planned(number + 7) == 2
    assert model.num_planned(number[1:]) == 1 and model.eval().num_planned(number[1:]) == 2
    for changes in ({"coatt.stop": "with"}, {"coatt.stop": "after"}, {"hrgr.choice": "sum"}):
        planner = tiny_model({"model.family": next(iter(changes)).split(".")[0], **changes})
        patches = torch.randn(2, 4, 12)
        whole, some = (planner.look(patches, most)[1]._asdict() for most in (None, 2))
        for name in {"topics", "stop", "choice", "attention"} & whole.keys():
            assert close(some[name][:, :2], whole[name][:, :2]) and some[name].shape[1] <= 3


def test_of_two_sources_the_one_that_would_have_said_the_word_weighs_more():
    # A template "a ." and a writer of p(a) = .2, p(. | a) = .5, each of weight 1/2.
    weights = torch.tensor([0.5, 0.5]).log()
    first = torch.tensor([[1, 0], [0.2, 0.8]]).log()  # of a, and of "."
    second = torch.tensor([[0, 1], [0.5, 0.5]]).log()
    assert mix(weights, first).exp()[0].item() == pytest.approx(0.6)
    after = reweigh(weights, first[:, 0])
    assert close(after.exp(), torch.tensor([5 / 6, 1 / 6]))
    assert mix(after, second).exp()[1].item() == pytest.approx(11 / 12)
    assert mix(weights, first)[0].exp() * mix(after, second)[1].exp() == pytest.approx(0.55)
    # The same of a whole report, "a . a": the next sentence begins anew.
    chosen = weights.expand(1, 4, 2)
    words = torch.stack([torch.zeros(2), first[:, 0], second[:, 1], first[:, 0]]).unsqueeze(0)
    begins = torch.tensor([True, False, True, False]).view(1, 4, 1)
    found = weights_of(chosen, words, begins)
    assert close(found[0], torch.stack([weights, after, weights, after]))
    never = torch.full((2,), float("-inf"))
    assert torch.equal(reweigh(after, never), after)
