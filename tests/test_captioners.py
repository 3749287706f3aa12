"""NIC, SA&T and AdaAtt against numbers worked out by hand, and the layers that they share."""

from math import log, tanh

import pytest
import torch
from model_parts import BOS, PAD, batch_of, close, tiny_images, tiny_model, tiny_reports
from torch import Tensor, nn

from rcan.data.batches import Batch
from rcan.model.interface import Alone, Output
from rcan.model.layers.recurrent import LSTM, CellOutput, lstm

NIC, SAT, ADAATT = ({"model.family": name} for name in ("nic", "sat", "adaatt"))
HALF = torch.tensor(0.5)


def zeroed(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def set_values(parameter: Tensor, values: float | Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values).expand_as(parameter))


def test_an_lstm_and_a_maxout_lstm_by_hand():
    h, c = lstm(torch.tensor([0.0, 0.0, 1.0, 0.0]), torch.zeros(1))  # i, f and o are ½
    assert c.item() == pytest.approx(tanh(1) / 2) and h.item() == pytest.approx(tanh(c.item()) / 2)
    h, c = lstm(torch.tensor([0.0, 0.0, 1.0, -2.0, 0.0]), torch.zeros(1))
    assert (c.item(), h.item()) == (pytest.approx(0.5), pytest.approx(0.231059, abs=1e-6))
    gates = torch.tensor([-99.0, 99.0, 5.0, 99.0])  # i 0, f and o 1: it remembers and tells
    assert lstm(gates, HALF.view(1))[1].item() == 0.5


@torch.no_grad()
def test_an_lstm_asked_word_by_word_says_what_it_says_of_the_whole_text():
    torch.manual_seed(0)
    layer, x = LSTM(3, 4), torch.randn(2, 5, 3)
    h = c = torch.zeros(2, 4)
    for place, gates in enumerate(layer.gates(x).unbind(1)):
        h, c = layer.cell(gates, h, c)
        assert close(h, layer(x)[0][:, place])


# --- NIC ---


@torch.no_grad()
def test_nic_is_an_lstm_over_the_image_and_then_the_words():
    model, inputs, tokens = tiny_model(NIC), tiny_images(2), tiny_reports([4, 6])
    a = model.visual(*inputs).patches.mean(1)
    x = torch.cat([model.image(a).unsqueeze(1), model.words(tokens)], 1)
    expected = model.classifier(model.lstm(x)[0][:, 1:])  # of the image no word is told
    assert close(model(batch_of(*inputs, tokens)).logits, expected)


@torch.no_grad()
def test_nic_sees_the_mean_of_the_patches_and_that_once():
    model, patches = tiny_model(NIC), torch.randn(1, 8, 12)
    opposite = 2 * patches.mean(1, keepdim=True) - patches  # the same mean
    memory, seen = model.look(patches)
    assert all(map(close, memory, model.look(opposite)[0])) and seen == ()
    images, projections = tiny_images(2)
    prepared, tokens = model.prepare(), torch.full((2, 1), BOS)
    state = model.start(images, projections, 1, prepared)
    other = model.start(images, projections, 1, prepared)
    images.zero_()  # after `start` nobody looks again
    assert torch.equal(model.step(tokens, state), model.step(tokens, other))


@torch.no_grad()
def test_nic_without_w_v_is_nic_without_images():
    model, blind = tiny_model(NIC), tiny_model({**NIC, "visual.blind": True})
    tokens = tiny_reports([4, 6])
    for one in (model, blind):
        zeroed(one.image)
    seeing = model(batch_of(*tiny_images(2), tokens)).logits
    assert close(seeing, blind(batch_of(*tiny_images(2, seed=1), tokens)).logits)


# --- SA&T ---


@pytest.mark.parametrize(("lengths", "penalty"), [([3], 0), ([1], 1), ([3, 1], 1)])
def test_sat_wants_every_patch_looked_at_once(lengths, penalty):
    """Four patches, ¼ each at every word: 4 words (with the end) are right, 2 leave 4 · (½)²."""
    model = tiny_model(SAT)
    for width in (None, 9):  # padded or not
        tokens = tiny_reports(lengths, width=width)
        shape = (len(lengths), tokens.shape[1] - 1)
        output = Output(torch.zeros(*shape, 14), {"attention": torch.full((*shape, 4), 0.25)})
        batch = Batch(*tiny_images(len(lengths)), tokens, PAD)
        losses = model.losses(output, batch, Alone())
        num_words = sum(lengths) + len(lengths)
        assert losses["loss_attention"].item() * num_words == pytest.approx(penalty)
        assert losses["loss_ce"].item() == pytest.approx(log(14))
        parts = losses["loss_ce"] + losses["loss_attention"]
        assert losses["loss"].item() == pytest.approx(parts.item())


@torch.no_grad()
def test_sat_sees_of_equal_patches_one_of_them_scaled_by_one_number_a_beam():
    model, a = tiny_model(SAT), torch.randn(2, 1, 12)
    memory, seen = model.look(a.expand(2, 4, 12))
    told, _ = model.cell(model.read(torch.tensor([[3], [5]])), memory, seen)
    z = told.hidden[..., -12:]
    assert close(z / a, model.select(memory.h).sigmoid().expand_as(z))
    assert close(told.attention, torch.full((2, 1, 4), 0.25))


@torch.no_grad()
def test_sat_tells_words_by_equation_7_as_printed_or_with_the_codes_tanh():
    for with_tanh in (True, False):
        model = tiny_model({**SAT, "sat.output_tanh": with_tanh})
        words, h, z = model.read(torch.tensor([[3]])), torch.randn(1, 1, 10), torch.randn(1, 1, 12)
        n = model.words.weight[3] + model.output_h(h) + model.output_z(z)
        logits, _ = model.tell(words, CellOutput(torch.cat([h, z], -1)), None)
        assert close(logits, model.classifier(n.tanh() if with_tanh else n))


# --- AdaAtt ---


def looking_away(model) -> tuple[Tensor, Tensor, Tensor]:
    """The model, its classifier handing ĉ + h on, told h = 0 and some s: ĉ, s and the mean v."""
    set_values(model.classifier.weight, torch.eye(14, 12))
    zeroed(model.attend.query)
    torch.manual_seed(1)
    v, s = torch.randn(1, 3, 12), torch.randn(1, 1, 12)
    _, seen = model.look(v)
    seen = seen._replace(v=v, keys=torch.zeros(1, 3, 12))  # z_i = wᵀ tanh(0) = 0
    told = CellOutput(torch.cat([torch.zeros(1, 1, 12), s], -1))
    logits, attention = model.tell(model.read(torch.tensor([[3]])), told, seen)
    assert close(attention, torch.full((1, 1, 3), 1 / 3))
    return (logits - model.classifier.bias)[..., :12], s, v.mean(1, keepdim=True)


@torch.no_grad()
def test_adaatt_weighs_patches_and_sentinel_by_one_softmax():
    model = tiny_model(ADAATT)
    zeroed(model.attend.weigh)  # all scores 0: of three patches and the sentinel each has ¼
    c, s, mean = looking_away(model)
    assert close(c, 0.25 * s + 0.75 * mean)
    zeroed(model.key_of_s)
    set_values(model.key_of_s.bias, 1.0)
    set_values(model.attend.weigh.weight, log(3) / tanh(1) / 12)  # z_s = ln 3, z_i = 0
    c, s, mean = looking_away(model)
    assert close(c, 0.5 * s + 0.5 * mean)


@torch.no_grad()
def test_adaatts_sentinel_is_gated_by_what_was_said_before_and_shows_what_is_remembered_now():
    model = tiny_model(ADAATT)
    for part in (model.input, model.image, model.recurrent):
        zeroed(part)
    model.recurrent.weight[-12:] = torch.eye(12)  # g reads h_{t-1}
    memory, seen = model.look(torch.randn(1, 4, 12))
    assert all((x == 0).all() for x in memory)
    memory = memory._replace(h=torch.randn(1, 1, 12), m=torch.ones(1, 1, 12))
    told, after = model.cell(model.read(torch.tensor([[3]])), memory, seen)
    h, s = told.hidden.chunk(2, -1)
    assert close(after.m, HALF) and close(h, HALF * HALF.tanh())
    assert close(s, memory.h.sigmoid() * HALF.tanh())
