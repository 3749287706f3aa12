"""CoAtt: what it is given, what its plan reads, its losses."""

import numpy as np
import pytest
import torch
from model_parts import (
    BOS,
    EOS,
    PAD,
    STOP,
    close,
    losses_of,
    read,
    tiny_images,
    tiny_model,
)

from rcan.data.batches import Batch
from rcan.data.knowledge.coatt import learn
from rcan.data.store import Split, Study
from rcan.errors import UserError
from rcan.text.tokenizer import Tokenizer

COATT = {"model.family": "coatt"}
REPORT = torch.tensor([[BOS, 6, 5, STOP, 6, STOP, EOS, PAD]])


def logprobs(model, tokens: torch.Tensor) -> torch.Tensor:
    return read(model, *tiny_images(1), tokens)[0]


@torch.no_grad()
def test_a_sentence_does_not_read_the_one_before_it():
    model, other = tiny_model(COATT), REPORT.clone()
    other[0, 1:3] = torch.tensor([9, 11])
    one, two = logprobs(model, REPORT), logprobs(model, other)
    assert torch.equal(one[:, 3:], two[:, 3:]) and not close(one[:, 1:3], two[:, 1:3])


@torch.no_grad()
def test_the_end_has_the_stop_s_probability_where_a_sentence_begins_and_none_elsewhere():
    model = tiny_model(COATT)
    p = logprobs(model, REPORT).exp()[0]
    assert close(p.sum(-1), torch.ones(8))
    images, projections = tiny_images(1)
    stop = model.start(images, projections, 1, model.prepare()).seen.stop[0, :, 1].exp()
    assert close(p[[0, 3, 5], EOS], stop[:3]) and stop[3] == 1
    assert p[[1, 2, 4], EOS].eq(0).all()


@torch.no_grad()
def test_told_with_the_last_sentence_the_stop_comes_one_sentence_later():
    after, with_it = tiny_model(COATT), tiny_model({**COATT, "coatt.stop": "with"})
    one, other = (logprobs(model, REPORT)[0, [0, 3, 5], EOS] for model in (after, with_it))
    assert close(other[1:], one[:2]) and other[0] == float("-inf")


def test_words_teach_the_tags_embeddings_and_only_tags_their_classifier():
    model = tiny_model(COATT)
    images, projections = tiny_images(1)
    output = model(Batch(images, projections, REPORT, PAD))
    output.logits[0, 0, 6].backward()
    assert model.tags.weight.grad.abs().sum() > 0 and model.classify.weight.grad is None


@torch.no_grad()
def test_wrong_tags_of_studies_change_nothing_that_is_written():
    model = tiny_model(COATT)
    before = logprobs(model, REPORT)
    model.tables.tags = torch.zeros_like(model.tables["tags"])
    assert torch.equal(before, logprobs(model, REPORT))
    assert "tables.tags" not in model.state_dict()


def test_the_losses_are_those_of_a_report_by_word():
    model = tiny_model({**COATT, "coatt.lambda_tags": 2.0, "coatt.lambda_attention": 3.0})
    inputs = (*tiny_images(1), REPORT)
    for parameter in (model.classify, model.attend_patches.weigh, model.attend_tags.weigh):
        torch.nn.init.zeros_(parameter.weight)
    torch.nn.init.zeros_(model.classify.bias)
    losses = losses_of(model, *inputs)
    # All tags alike; two sentences look at 8 patches and at 3 tags alike; 6 words.
    tags = int(model.tables["num_tags"])
    assert losses["loss_tags"].item() == pytest.approx(2 * np.log(tags) / 6)
    missed = 8 * (1 - 2 / 8) ** 2 + 3 * (1 - 2 / 3) ** 2
    assert losses["loss_attention"].item() == pytest.approx(3 * missed / 6)
    parts = sum(value for name, value in losses.items() if name != "loss")
    assert losses["loss"].item() == pytest.approx(parts.item())
    told = logprobs(model, REPORT[:, :-1]).gather(-1, REPORT[:, 1:].unsqueeze(-1))[0, :6]
    assert losses["loss_ce"].item() == pytest.approx(-told.mean().item())


def test_tags_are_those_of_enough_training_studies():
    labels = (  # of studies
        ("nodule/left", "edema"),
        None,
        (),
        ("nodule", "mass/uncertain"),
        ("mass/uncertain",),
        ("no indexing",),
    )
    train = Split("train", [Study("", "train", "", "a .", (), one) for one in labels], None)
    words = Tokenizer.train(["a ."], 1)
    learnt = learn(train, None, words, {"coatt": {"least_studies": 1}})
    assert learnt.of_studies["tags"].tolist() == [  # edema, nodule, normal
        [0.5, 0.5, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]
    ]  # fmt: skip
    assert learnt.kept["num_tags"].tolist() == [3]
    assert words.decode(learnt.kept["marks"].tolist()[1:]) == "."
    few = learn(train, None, words, {"coatt": {"least_studies": 2}})
    assert few.of_studies["tags"][:, 0].tolist() == [1, 0, 0, 1, 0, 0]
    with pytest.raises(UserError, match="at least 3 training studies have, found at most 2"):
        learn(train, None, words, {"coatt": {"least_studies": 3}})
    without = Split("train", [Study("", "train", "", "a .", ())], None)
    with pytest.raises(UserError, match=r"indiana_reports\.csv into the data's folder"):
        learn(without, None, words, {"coatt": {"least_studies": 1}})
