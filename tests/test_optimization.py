"""The optimiser's two groups, and the learning rate at every step."""

import copy
from itertools import pairwise
from math import cos, pi

import pytest
import torch
from model_parts import read
from tiny import tiny

from rcan.model.build import build_model
from rcan.training.optimization import build_optimizer, schedule, set_learning_rate

STEPS = 5  # an epoch


def settings_of(**changes):
    return tiny({f"train.{key}": value for key, value in changes.items()})


def train_settings(**changes):
    return settings_of(**changes).train


@pytest.fixture
def optimizer():
    train = train_settings(lr_visual=5e-4, lr=1e-4, optimizer="adam", beta1=0.8, beta2=0.9)
    return build_optimizer(build_model(tiny(), 30), train)


def test_the_visual_extractor_and_rve_learn_at_one_rate_and_the_rest_at_another():
    model = build_model(tiny(), 30)
    settings = settings_of(lr_visual=5e-4, lr=1e-4)
    optimizer = build_optimizer(model, settings.train)
    set_learning_rate(optimizer, settings, 0, STEPS)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {names.pop(id(p)): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert names == {}  # every parameter is in a group
    for name, rate in rates.items():
        assert rate == (5e-4 if name.startswith(("visual.cnn.", "visual.rve.")) else 1e-4), name


def test_a_frozen_cnn_is_in_no_group():
    model = build_model(tiny({"visual.frozen": True}), 30)
    optimizer = build_optimizer(model, train_settings())
    frozen = {id(p) for p in model.visual.cnn.parameters()}
    assert not frozen & {id(p) for g in optimizer.param_groups for p in g["params"]}
    plain = build_model(tiny({"visual.frozen": True, "model.use_rve": False}), 30)
    assert len(build_optimizer(plain, train_settings()).param_groups) == 1


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_the_optimiser_is_the_one_that_is_asked_for(name, kind):
    train = train_settings(optimizer=name, beta1=0.8, beta2=0.9, weight_decay=0.3, amsgrad=True)
    optimizer = build_optimizer(build_model(tiny(), 30), train)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert (group["betas"], group["weight_decay"], group["amsgrad"]) == ((0.8, 0.9), 0.3, True)


def test_sgd_takes_a_parameter_whose_first_gradient_comes_later_than_others():
    model = build_model(tiny(), 30)
    optimizer = build_optimizer(model, train_settings(optimizer="sgd", beta1=0.9, weight_decay=0.0))
    first, second = optimizer.param_groups[-1]["params"][:2]
    optimizer.param_groups[-1]["lr"] = 0.5
    before = [first.detach().clone(), second.detach().clone()]
    first.grad = torch.ones_like(first)
    optimizer.step()
    second.grad = torch.ones_like(second)
    optimizer.step()
    assert torch.allclose(before[0] - first, torch.full_like(first, 0.5 * (1 + 1.9)))
    assert torch.allclose(before[1] - second, torch.full_like(second, 0.5))
    used = settings_of(optimizer="sgd").used()["train"].keys()
    assert settings_of(optimizer="adam").used()["train"].keys() - used == {"beta2", "amsgrad"}


@pytest.mark.parametrize(("name", "amsgrad"), [("adam", True), ("adamw", False)])
def test_the_fused_steps_are_the_plain_ones(name, amsgrad):
    train = train_settings(optimizer=name, amsgrad=amsgrad, weight_decay=0.1, lr=1e-2)
    torch.manual_seed(0)
    ours = build_model(tiny({"model.dropout": 0.0}), 30).train()
    plain = copy.deepcopy(ours)
    fused = build_optimizer(ours, train)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    of_plain = kind(
        plain.parameters(), lr=1e-2, betas=(train.beta1, train.beta2), weight_decay=0.1,
        amsgrad=amsgrad, foreach=False,
    )  # fmt: skip
    for group in fused.param_groups:
        group["lr"] = 1e-2
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            gradient = torch.randn(one.shape, generator=generator)
            one.grad = torch.empty_like(one).copy_(gradient)  # in its parameter's layout
            other.grad = torch.empty_like(other).copy_(gradient)
        fused.step(), of_plain.step()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("rve", [False, True])
def test_gradients_have_the_layout_of_their_parameters(rve):
    """The fused optimiser walks them side by side."""
    model = build_model(tiny({"model.use_rve": rve}), 30).train()
    side = tiny().visual.crop
    images = torch.randint(0, 256, (3, 2, side, side), dtype=torch.uint8)
    projections = torch.zeros(3, 2, dtype=torch.long)
    logits, p = read(model, images, projections, torch.ones(3, 4).long())
    (logits.sum() + p.sum()).backward()
    for name, parameter in model.named_parameters():
        own, of_gradient = (
            [step for step, size in zip(x.stride(), x.shape, strict=True) if size > 1]
            for x in (parameter, parameter.grad)
        )
        assert own == of_gradient, name


def test_exponential_lowers_both_rates_at_the_end_of_every_epoch(optimizer):
    settings = settings_of(
        lr_visual=5e-4, lr=1e-4, schedule="exponential", lr_decay=0.8, epochs=100
    )
    train = settings.train
    for step in range(4 * STEPS):
        returned = set_learning_rate(optimizer, settings, step, STEPS)
        visual, rest = (group["lr"] for group in optimizer.param_groups)
        assert visual == pytest.approx(5e-4 * 0.8 ** (step // STEPS), rel=1e-12)
        assert rest == returned == pytest.approx(1e-4 * 0.8 ** (step // STEPS), rel=1e-12)
    assert schedule(train, 0, STEPS) == schedule(train, STEPS - 1, STEPS) == 1
    assert schedule(train, STEPS, STEPS) == 0.8


def test_cosine_starts_full_after_its_warm_up_and_ends_near_two_per_cent():
    train = train_settings(schedule="cosine", warmup_steps=4, epochs=6)
    factors = [schedule(train, step, STEPS) for step in range(6 * STEPS)]
    assert factors[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert all(earlier > later for earlier, later in pairwise(factors[4:]))
    middle = 4 + (6 * STEPS - 4) // 2
    assert factors[middle] == pytest.approx(0.51)
    last = (6 * STEPS - 1 - 4) / (6 * STEPS - 4)
    assert factors[-1] == pytest.approx(0.02 + 0.98 * 0.5 * (1 + cos(pi * last)))
    assert 0.02 < factors[-1] < 0.03


def test_warm_up_also_comes_before_exponential():
    train = train_settings(schedule="exponential", warmup_steps=2, lr_decay=0.5)
    factors = [schedule(train, step, 3) for step in range(9)]
    assert factors == pytest.approx([0.5, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


@pytest.mark.parametrize("kind", ["exponential", "cosine"])
def test_a_warm_up_longer_than_the_training_is_no_error(kind):
    train = train_settings(schedule=kind, warmup_steps=100, epochs=2)
    factors = [schedule(train, step, STEPS) for step in range(2 * STEPS)]
    assert factors == pytest.approx([(step + 1) / 100 for step in range(2 * STEPS)])


def test_the_rate_is_a_function_of_the_step_alone(optimizer):
    some = settings_of(schedule="cosine", warmup_steps=3)
    forward = [set_learning_rate(optimizer, some, step, STEPS) for step in range(10)]
    backward = [set_learning_rate(optimizer, some, step, STEPS) for step in reversed(range(10))]
    assert forward == backward[::-1]


def test_linear_ends_at_nothing():
    train = train_settings(schedule="linear", warmup_steps=0, epochs=2)
    factors = [schedule(train, step, STEPS) for step in range(2 * STEPS)]
    assert factors == pytest.approx([1 - step / 10 for step in range(2 * STEPS)])


def test_epochs_on_rewards_have_one_rate_and_the_schedule_ends_before_them(optimizer):
    changes = {"train.epochs": 4, "reward.share": 0.25, "reward.lr": 0.2, "train.lr": 1e-4}
    settings = tiny({**changes, "train.schedule": "linear", "train.warmup_steps": 0})
    rates = [set_learning_rate(optimizer, settings, step, 2) for step in range(8)]
    assert rates == pytest.approx([1e-4 * (1 - step / 6) for step in range(6)] + [2e-5] * 2)


def test_step_lowers_the_rate_after_every_so_many_epochs():
    train = train_settings(schedule="step", lr_decay=0.1, lr_step=2, warmup_steps=0)
    factors = [schedule(train, step, 3) for step in (0, 5, 6, 11, 12)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])
