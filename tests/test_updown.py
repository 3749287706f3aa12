"""Up-Down's two LSTMs: what reaches which, and that its parts add up to torch's own."""

import torch
from model_parts import (
    BOS,
    VOCABULARY,
    batch_of,
    close,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rcan.model.families.updown import Memory

UPDOWN = {"model.family": "updown"}


@torch.no_grad()
def test_the_cell_is_two_lstms_of_joined_inputs():
    model, patches, word = tiny_model(UPDOWN), torch.rand(2, 4, 12), torch.tensor([[3], [5]])
    first, second = nn.LSTMCell(36, 12), nn.LSTMCell(24, 12)
    own1, own2 = model.first.weight, model.second.weight
    for cell, inputs, recurrent, bias in (
        (first, [own1[:, 12:], model.mean.weight, model.input.weight], own1[:, :12], model.input),
        (second, [own2[:, :24]], own2[:, 24:], model.second),
    ):
        cell.weight_ih.copy_(torch.cat(inputs, 1))
        cell.weight_hh.copy_(recurrent)
        cell.bias_ih.copy_(bias.bias)
        cell.bias_hh.zero_()
    memory = Memory(*torch.randn(4, 2, 1, 12))
    told, found = model.cell(model.read(word), memory, model.look(patches)[1])
    before = [x.squeeze(1) for x in memory]
    x = torch.cat([before[2], patches.mean(1), model.words(word).squeeze(1)], 1)
    h1, c1 = first(x, (before[0], before[1]))
    z, _ = model.attend(h1.unsqueeze(1), patches, model.attend.key(patches))
    h2, c2 = second(torch.cat([z.squeeze(1), h1], 1), (before[2], before[3]))
    assert all(close(a.squeeze(1), b) for a, b in zip(found, (h1, c1, h2, c2), strict=True))
    assert torch.equal(told.hidden, found.h2)


@torch.no_grad()
def test_of_equal_patches_none_is_looked_at_more():
    model, patches = tiny_model(UPDOWN), torch.rand(2, 1, 12).expand(-1, 4, -1)
    word = model.read(torch.tensor([[3], [5]]))
    logits = []
    for _ in range(2):
        memory, seen = model.look(patches)
        logits.append(model.cell(word, memory, seen)[0].hidden)
        for parameter in model.attend.parameters():
            parameter.normal_()
    assert close(*logits)


@torch.no_grad()
def test_the_second_lstm_reaches_the_first_from_the_second_word_on():
    model = tiny_model(UPDOWN)
    batch = batch_of(*tiny_images(2), tiny_reports([4, 5]))
    before = model(batch).logits
    model.first.weight[:, 12:] = 0
    after = model(batch).logits
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.isclose(before[:, 1:], after[:, 1:]).all(-1).any()


@torch.no_grad()
def test_a_word_costs_neither_its_own_part_of_the_gates_nor_that_of_the_mean():
    model, (images, projections) = tiny_model({**UPDOWN, "updown.d_attention": 10}), tiny_images(2)
    state = model.start(images, projections, 3, model.prepare())
    d, n, patches = 12, 10, 8
    with FlopCounterMode(display=False) as counter:
        model.step(torch.full((2, 3), BOS), state)
    a_row = 2 * d * 4 * d + 3 * d * 4 * d + d * n + patches * (n + d) + d * VOCABULARY
    assert counter.get_total_flops() == 2 * 2 * 3 * a_row
