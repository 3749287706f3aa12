"""Att2in's cell, by hand: attention reaches the candidate alone."""

import torch
from model_parts import close, tiny_model
from torch import nn

from rcan.model.families.att2in import Memory

ATT2IN = {"model.family": "att2in"}


def test_the_larger_half_without_tanh():
    model = tiny_model(ATT2IN)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    memory, seen = model.look(torch.randn(2, 4, 12))
    word = torch.tensor([0.0, 0.0, 1.0, -2.0, 0.0]).repeat_interleave(12).expand(2, 1, 60)
    _, (h, c) = model.cell(word, memory, seen)
    assert close(c, torch.full((2, 1, 12), 0.5)) and close(h, torch.full((2, 1, 12), 0.231059))


@torch.no_grad()
def test_gates_do_not_move_with_what_is_looked_at():
    model, studies = tiny_model(ATT2IN), torch.randn(2, 4, 12)
    zeros, seen = model.look(studies)
    word = torch.zeros(2, 1, 60)
    before = Memory(zeros.h, torch.full_like(zeros.c, 0.7))
    _, (h, c) = model.cell(word, zeros, seen)
    _, (_, kept) = model.cell(word, before, seen)
    _, (_, doubled) = model.cell(word, zeros, seen._replace(a=2 * seen.a))
    output, forget = h / c.tanh(), (kept - c) / 0.7
    assert not close(c[0], c[1])
    assert close(output[0], output[1]) and close(forget[0], forget[1])
    assert close(doubled, 2 * c)  # the input gate is the same


@torch.no_grad()
def test_a_word_is_read_by_relu_if_so_asked():
    tokens = torch.tensor([3, 4])
    plain, relu = (tiny_model({**ATT2IN, "att2in.words": kind}) for kind in ("linear", "relu"))
    assert not close(plain.read(tokens), relu.read(tokens))
    assert close(relu.input(relu.words(tokens).relu()), relu.read(tokens))
