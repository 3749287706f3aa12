"""Dropout: its rate, its scale, its gradient, and that a seed decides it."""

import pytest
import torch

from rcan.model.layers.dropout import Dropout, dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1000, 999), (999_001,)], ids=str)
def test_so_many_elements_are_dropped_and_the_others_grow(p, shape):
    torch.manual_seed(0)
    y = dropout(torch.ones(shape), p, training=True)
    kept = y != 0
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.002)  # 4 deviations or more
    assert torch.allclose(y[kept], torch.tensor(1 / (1 - p)), rtol=1e-4)
    assert y.mean().item() == pytest.approx(1.0, rel=0.02)


def test_elements_are_dropped_independently():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(500, 4000), 0.3, training=True) != 0).float()
    centred = kept - kept.mean()
    for shift in (1, 2, 3, 4, 5, 8):  # four neighbours come from one random number
        together = (centred[:, shift:] * centred[:, :-shift]).mean() / centred.var()
        assert abs(together.item()) < 0.004
    assert abs(torch.corrcoef(kept[:2])[0, 1].item()) < 0.06


def test_a_probability_next_to_one_leaves_numbers():
    y = dropout(torch.ones(1000), 0.9999999, training=True)
    assert y.isfinite().all() and (y == 0).sum() > 990


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5])
def test_any_number_of_elements_will_do(size):
    assert dropout(torch.ones(size), 0.5, training=True).shape == (size,)


def test_what_was_dropped_gets_no_gradient_and_the_rest_its_share():
    torch.manual_seed(0)
    x = torch.randn(50, 40, requires_grad=True)
    y = dropout(x, 0.25, training=True)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(gradient, torch.where(y != 0, 4 / 3, 0.0), rtol=1e-4)


def test_the_seed_decides_and_every_call_differs():
    x = torch.ones(100)
    torch.manual_seed(1)
    first, second = (dropout(x, 0.5, training=True) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.5, training=True), first) and not torch.equal(first, second)


def test_nothing_is_dropped_outside_training_or_with_p_0():
    x = torch.ones(100)
    assert dropout(x, 0.5, training=False) is x and dropout(x, 0.0, training=True) is x
    assert Dropout(0.5).eval()(x) is x and (Dropout(0.5).train()(x) == 0).any()


def test_the_kind_of_number_stays():
    x = torch.ones(64, dtype=torch.bfloat16)
    assert dropout(x, 0.5, training=True).dtype == torch.bfloat16


def test_a_printed_model_tells_the_probability():
    assert str(Dropout(0.1)) == "Dropout(p=0.1)"
