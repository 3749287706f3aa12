"""R2Gen: the relational memory, the norms that it drives, their worked numbers and costs."""

import pytest
import torch
from model_parts import BOS, VOCABULARY, batch_of, settings_with, tiny_images, tiny_model
from torch import nn

from rcan.errors import UserError
from rcan.model.build import build_model, num_parameters
from rcan.model.families.r2gen import UnbiasedNorm
from rcan.model.families.r2gen import memory as equations
from rcan.model.families.r2gen.memory import RelationalMemory
from rcan.model.layers.conditional import ConditionalDecoder, ConditionalNorms
from rcan.model.layers.transformer import Decoder

R2GEN = {"model.family": "r2gen"}


def relational(d_model=6, slots=3, heads=2, dropout=0.0, learned=False) -> RelationalMemory:
    return RelationalMemory(
        d_model, num_slots=slots, num_heads=heads, dropout=dropout, learned=learned
    )


def zero(*layers: nn.Module) -> None:
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.zero_()


@torch.no_grad()
def test_with_open_gates_and_no_answer_the_memory_fades_by_its_worked_numbers():
    memory = relational()
    zero(memory.output, memory.inner, memory.outer, memory.word_gates, memory.memory_gates)
    M = memory(torch.randn(1, 3, 6)).view(3, 3, 6)
    diagonal = torch.tensor([0.880797, 0.793808, 0.727184])  # (M + tanh M) / 2, from M = 1
    torch.testing.assert_close(M, diagonal.view(3, 1, 1) * torch.eye(3, 6), atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_first_half_of_the_gates_lets_in_and_the_second_keeps():
    memory = relational()
    zero(memory.word_gates, memory.memory_gates)
    memory.word_gates.bias.copy_(torch.tensor([-20.0, 20.0]).repeat_interleave(6))
    kept = memory(torch.randn(2, 4, 6))
    torch.testing.assert_close(kept, torch.eye(3, 6).flatten().expand(2, 4, -1))


@torch.no_grad()
def test_the_memory_is_equations_6_to_10_as_they_stand():
    torch.manual_seed(0)
    memory, d = relational(d_model=4, slots=2, heads=1), 4
    y, M = torch.randn(1, 4), torch.eye(2, 4)
    W_q, W_k, W_v = memory.qkv.weight.chunk(3)
    b_q, b_k, b_v = memory.qkv.bias.chunk(3)
    rows = torch.cat([M, y])
    scores = (M @ W_q.T + b_q) @ (rows @ W_k.T + b_k).T / d**0.5
    Z = memory.output(scores.softmax(-1) @ (rows @ W_v.T + b_v))
    f = memory.outer(memory.inner(Z + M).relu()).relu()
    into, keep = (memory.word_gates(y) + memory.memory_gates(M.tanh())).sigmoid().chunk(2, -1)
    expected = keep * M + into * (f + Z + M).tanh()
    torch.testing.assert_close(memory(y[None]).view(2, 4), expected)


@torch.no_grad()
def test_beams_of_one_text_share_its_memory():
    torch.manual_seed(0)
    memory = relational().eval()
    table = torch.randn(9, 6)  # of words
    state = memory.before(2, 2, 4, memory.prepare())
    texts = [[[7], [7]], [[7], [5]]]  # of two studies' two beams

    def go_on(texts):
        tokens = torch.tensor(texts)[:, :, -1]
        M, number = memory.step(tokens, table[tokens], state, torch.empty(0))
        for study in range(2):
            for beam in range(2):
                y = table[torch.tensor(texts[study][beam])]
                torch.testing.assert_close(M[0, number[study, beam]], memory(y[None])[0, -1])
        return M.shape[1]

    assert go_on(texts) == 2
    state.reorder(torch.tensor([[0, 1], [1, 0]]))  # the second study's trade places
    assert go_on([[[7, 2], [7, 3]], [[5, 2], [7, 2]]]) == 3  # 7 2, 7 3, 5 2
    state.keep(torch.tensor([1]))
    state.number = state.number.repeat(2, 1)  # the other study's texts are gone
    assert go_on([[[5, 2, 8], [7, 2, 8]]] * 2) == 2


@pytest.mark.parametrize("learned", [False, True])
def test_the_gradients_by_hand_are_those_of_the_steps(learned):
    torch.manual_seed(0)
    memory = relational(dropout=0.3, learned=learned).double()
    y = torch.randn(2, 5, 6, dtype=torch.double, requires_grad=True)
    weigh = torch.randn(2, 5, 18, dtype=torch.double)
    wanted = [y, *memory.parameters()]
    torch.manual_seed(1)
    found = torch.autograd.grad((memory(y) * weigh).sum(), wanted)
    torch.manual_seed(1)
    kept = memory.dropout(y.new_ones(5, 2, 2, 3, 4))
    words, M, memories = memory.words(y), memory.start.expand(2, 3, 6), []
    for place in range(5):
        M, _ = equations._step(words[:, place], M, memory.weights(), 2, kept[place])
        memories.append(M.flatten(1))
    expected = torch.autograd.grad((torch.stack(memories, 1) * weigh).sum(), wanted)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


@torch.no_grad()
def test_each_norm_has_two_networks_of_its_own():
    torch.manual_seed(0)
    norms, m = ConditionalNorms(5, 4, 2), torch.randn(2, 3, 5)
    nn.init.normal_(norms.own)
    told = norms(m)
    assert told.shape == (2, 3, 2, 2, 3, 4)
    first, bias = norms.first.weight.view(12, 4, 5), norms.first.bias.view(12, 4)
    second, last = norms.second.view(12, 4, 4), (norms.second_bias + norms.own).view(12, 4)
    for place, one in enumerate(told.flatten(0, 2)):
        inner = (m @ first[place].T + bias[place]).relu()
        torch.testing.assert_close(one, inner @ second[place].T + last[place])


@torch.no_grad()
def test_a_decoder_told_one_and_zero_is_the_plain_one():
    sizes = {"num_layers": 2, "num_heads": 2, "d_ff": 6, "dropout": 0.1}
    plain, told = Decoder(8, **sizes).eval(), ConditionalDecoder(8, **sizes).eval()
    told.load_state_dict(plain.state_dict(), strict=False)  # but the norms of the layers
    x, hidden = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    ones = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1, 1, 1).expand(2, 3, 2, 2, 5, 8)
    torch.testing.assert_close(told(x, hidden, ones), plain(x, hidden))


def test_the_unbiased_norm_is_the_layer_norm_but_for_a_factor():
    x = torch.randn(3, 10, dtype=torch.double) * 5
    expected = torch.nn.functional.layer_norm(x, (10,), eps=0) * 0.9**0.5
    torch.testing.assert_close(UnbiasedNorm(10).double()(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [{"r2gen.norm": "unbiased"}, {"r2gen.first_memory": "learned"},
     {"r2gen.embedding_dropouts": "one"}, {"r2gen.patch_dropout": 0.5}],
)  # fmt: skip
def test_every_quirk_is_a_setting(changes):
    usual, other = (tiny_model(R2GEN | more).train() for more in ({}, changes))
    ((key, value),) = changes.items()
    name = settings_with(R2GEN | changes).name
    assert (f"{key.removeprefix('r2gen.')}={value}" in name) == (key != "r2gen.patch_dropout")
    images, tokens = tiny_images(2), torch.full((2, 4), BOS)
    told = []
    for model in (usual, other):
        model.load_state_dict(usual.state_dict(), strict=False)
        torch.manual_seed(0)
        model.dropout.p = 0.5
        with torch.no_grad():
            if key == "r2gen.first_memory" and model is other:
                model.memory.start.add_(1)
            told.append(model(batch_of(*images, tokens)).logits)
    assert not torch.allclose(*told)


def test_heads_that_do_not_divide_the_width_are_told():
    with pytest.raises(UserError, match=r"d_model \(12\) must be a multiple of r2gen.memory_heads"):
        settings_with(R2GEN | {"r2gen.memory_heads": 5})


def test_a_slot_more_widens_the_first_layer_of_every_network():
    sizes = {"model.d_model": 512, "model.num_heads": 8, "model.num_decoder_layers": 3}
    three, four = (
        num_parameters(
            build_model(settings_with(R2GEN | sizes | {"r2gen.memory_slots": n}), VOCABULARY)
        )
        for n in (3, 4)
    )
    assert four - three == 9 * 2 * 512 * 512  # the steps of Table 4: 4.7 to 4.8 million
