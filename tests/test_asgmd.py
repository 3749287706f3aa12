"""ASGMD, made causal: one encoder reads an image twice, a memory reads the words so far."""

import pytest
import torch
from model_parts import BOS, randomise, read, settings_with, tiny_images, tiny_model

from rcan.errors import UserError
from rcan.model.families.asgmd import RecurrentMemory, TopicEncoder

ASGMD = {"model.family": "asgmd"}


@torch.no_grad()
def test_patches_ask_topics_and_then_themselves_for_what_was_found():
    sizes = {"num_layers": 1, "num_heads": 1, "d_ff": 3, "dropout": 0.1}
    encoder, a = randomise(TopicEncoder(4, **sizes)).eval(), torch.randn(2, 5, 4)
    (layer,), topics = encoder.layers, encoder.topics * 2  # √4

    def read_once(keys, values):
        y, ask = layer.norms[0](a), layer.attention
        scores = ask.query(y) @ ask.key(y if keys is None else keys).transpose(-1, -2) / 2
        x = a + ask.output(scores.softmax(-1) @ ask.value(values))
        return encoder.norm(x + layer.feed_forward(layer.norms[1](x)))

    found = read_once(topics, topics)
    torch.testing.assert_close(encoder(a), encoder.norm(found + read_once(None, found)))


@torch.no_grad()
def test_the_memory_is_attention_over_the_states_of_the_words_so_far():
    torch.manual_seed(0)
    memory = RecurrentMemory(4, num_layers=2, num_heads=1, dropout=0.1).eval()
    y, ask = torch.randn(2, 3, 4), memory.attention
    states, _ = memory.gru(y)
    scores = ask.query(states) @ ask.key(states).transpose(1, 2) / 2
    scores += torch.full((3, 3), -torch.inf).triu(1)
    expected = ask.output(scores.softmax(-1) @ ask.value(states))
    torch.testing.assert_close(memory(y), expected)
    torch.testing.assert_close(memory(y[1:])[0], expected[1])  # whatever the batch mates


@torch.no_grad()
def test_topics_and_memory_reach_every_word():
    model, (images, projections) = tiny_model(ASGMD), tiny_images(2)
    tokens = torch.full((2, 4), BOS)
    before, _ = read(model, images, projections, tokens)
    for parameter in (model.encoder.topics, model.memory.gru.weight_ih_l0):
        parameter.add_(0.5)
        after, _ = read(model, images, projections, tokens)
        assert not torch.isclose(before, after).all(-1).any()
        before = after


def test_heads_that_do_not_divide_the_width_are_told():
    with pytest.raises(UserError, match=r"d_model \(12\) must be a multiple of asgmd.memory_heads"):
        settings_with(ASGMD | {"asgmd.memory_heads": 5})
