"""Self-critical training, by models whose probabilities are known and by every family's own."""

from math import log

import numpy as np
import pytest
import torch
from model_parts import (
    BOS,
    EOS,
    MAX_LENGTH,
    OTHER_FAMILIES,
    PAD,
    close,
    name_of,
    tiny_images,
    tiny_model,
)
from torch import nn

from rcan.data.batches import Batch
from rcan.evaluation.cider import CiderD
from rcan.generation.generate import generate
from rcan.model.interface import Alone, Output
from rcan.training.policy_gradient import policy_gradient, write_twice

IDS = {"bos_id": BOS, "eos_id": EOS}


class Unigram(nn.Module):
    """Every word has the same probabilities, whatever was seen or written."""

    def __init__(self, logits, max_length=MAX_LENGTH):
        super().__init__()
        self.logits, self.max_length = nn.Parameter(torch.tensor(logits)), max_length

    def forward(self, batch):
        return Output(self.logits.expand(*batch.tokens[:, 1:].shape, -1))

    def prepare(self):
        assert not self.training

    def start(self, images, projections, num_beams, prepared):
        return self

    def keep(self, studies):
        pass

    def step(self, tokens, state):
        return self.logits.log_softmax(-1).expand(*tokens.shape, -1)


def batch_of(num_studies: int, first: int = 0) -> Batch:
    images, projections = tiny_images(num_studies)
    tokens = torch.full((num_studies, 3), PAD)
    return Batch(images, projections, tokens, PAD, torch.arange(first, first + num_studies))


def learn(model, batch, reward, seed=0):
    torch.manual_seed(seed)
    return policy_gradient(model, batch, Alone(), model=model, reward=reward, **IDS)


def test_one_word_of_probability_a_quarter_with_advantage_2():
    model = Unigram([0.0] * 4, max_length=1)
    losses = learn(model, batch_of(1), lambda reports, numbers: np.array([2.0, 0.0]))
    losses["loss"].backward()
    assert losses["loss"].item() == pytest.approx(2 * log(4)) == pytest.approx(2.772589)
    assert sorted(model.logits.grad.tolist()) == pytest.approx([-1.5, 0.5, 0.5, 0.5])
    assert (losses["loss_sampled"], losses["loss_greedy"]) == (-2, 0)


def test_nothing_is_learnt_from_what_is_no_better_than_the_likeliest():
    model = Unigram([0.0, 0.0, 40.0, 0.0])
    losses = learn(model, batch_of(3), CiderD([[3, EOS], [EOS], [1, EOS]], 4))
    losses["loss"].backward()
    assert losses["loss"] == 0 and (model.logits.grad == 0).all()


def test_words_count_up_to_the_end_mark_and_all_alike():
    model, batch = Unigram([-9.0, -9.0, 0.0, 0.8]), batch_of(40, first=7)
    seen = {}

    def reward(reports, numbers):
        assert numbers.tolist() == [*range(7, 47)] * 2
        seen["reports"] = reports
        return np.array([float(len(report)) for report in reports])

    loss = learn(model, batch, reward)["loss"]
    sampled, greedy = seen["reports"][:40], seen["reports"][40:]
    assert all(report == [3] * MAX_LENGTH for report in greedy)
    assert {len(report) for report in sampled} >= {1, 2, 3, MAX_LENGTH}
    logprobs = model.logits.log_softmax(-1).tolist()
    expected = 0.0
    for report in sampled:
        assert EOS not in report[:-1] and (report[-1] == EOS or len(report) == MAX_LENGTH)
        expected -= (len(report) - MAX_LENGTH) * sum(logprobs[word] for word in report)
    assert loss.item() == pytest.approx(expected / sum(map(len, sampled)))


def test_each_word_may_have_its_own_reward():
    model = Unigram([-9.0, -9.0, -1.0, 0.0])

    def of_the_second_word(reports, numbers):
        gains = np.zeros((len(reports), max(map(len, reports))))
        gains[:5, 1] = 3.0
        return gains

    torch.manual_seed(0)
    words, lengths = write_twice(model.eval(), batch_of(5), **IDS)
    logprobs = model.logits.log_softmax(-1)[words[0, :, 1]]
    expected = -3 * logprobs[lengths[0] > 1].sum() / lengths[0].sum()
    losses = learn(model, batch_of(5), of_the_second_word)
    assert close(losses["loss"], expected) and losses["loss_sampled"] == 0  # of the first word


def test_samples_have_the_probabilities_of_the_model():
    model = Unigram([0.1, 0.9, -0.4, 0.4], max_length=1).eval()
    torch.manual_seed(0)
    (sampled, _), _ = write_twice(model, batch_of(20_000), **IDS)
    shares = sampled.flatten().bincount(minlength=4) / 20_000
    assert torch.allclose(shares, model.logits.softmax(-1), atol=0.01)


@pytest.mark.parametrize("changes", [{}, *OTHER_FAMILIES], ids=name_of)
def test_any_family_scores_what_it_wrote_as_it_wrote_it(changes):
    model, batch = tiny_model(changes), batch_of(4)
    seen = [(batch.images, batch.projections)]
    [likeliest] = generate(model, seen, beam_size=1, length_penalties=[0.0], pad_id=PAD, **IDS)
    model.train()
    losses = learn(model, batch, lambda reports, numbers: np.repeat([1.0, 0.0], 4))
    losses["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    torch.manual_seed(0)
    (sampled, greedy), lengths = write_twice(model, batch, **IDS)
    for report, length, expected in zip(greedy, lengths[1], likeliest, strict=True):
        assert report[:length].tolist() == expected[:length] and set(expected[length:]) <= {PAD}
    surprise, tokens = 0.0, torch.full((4, 1), BOS)
    with torch.no_grad():
        state = model.start(*seen[0], 1, model.prepare())
        for place in range(int(lengths[0].max())):
            written, tokens = tokens, sampled[:, place : place + 1]
            logprobs = model.step(written, state)[:, 0].gather(1, tokens).squeeze(1)
            surprise -= logprobs[place < lengths[0]].sum().item()
    assert losses["loss"].item() == pytest.approx(surprise / lengths[0].sum().item(), rel=1e-4)


def test_what_is_rewarded_is_written_more_and_the_same_seed_gives_the_same_bits():
    def fives(reports, numbers):
        return np.array([float(report.count(5)) for report in reports])

    ends = []
    for _ in range(2):
        model, batch, worth = tiny_model({"model.family": "att2in"}), batch_of(8), []
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for step in range(12):
            losses = learn(model, batch, fives, seed=step)
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            worth.append(-losses["loss_sampled"].item())
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*ends)
    assert np.mean(worth[-3:]) > np.mean(worth[:3]) + 1
