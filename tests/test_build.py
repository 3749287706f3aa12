"""The model as settings build it: modules on and off, the frozen CNN, sizes."""

import pytest
import torch
from model_parts import (
    PAD,
    VOCABULARY,
    close,
    every_combination,
    every_kind,
    name_of,
    settings_with,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from torch import nn

from rcan.errors import UserError
from rcan.model.build import build_model, num_parameters, visual_parameters
from rcan.model.memory import NoMemory
from rcan.model.rcan import cross_entropy, joint_loss


@every_kind
def test_every_parameter_learns(changes):
    model, (images, projections) = tiny_model(changes).train(), tiny_images(8)
    tokens = tiny_reports([5, 2, 6, 3, 1, 4, 4, 7])
    torch.manual_seed(0)
    logits, p = model(images, projections, tokens[:, :-1])
    losses = joint_loss(
        logits, tokens[:, 1:], p, pad_id=PAD, lambda_ce=0.7, tau=0.1, denominator="negatives"
    )
    losses["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # What is added to every key alike leaves its softmax as it was.
        if not name.endswith((".key.bias", ".W_k.bias")):
            assert (parameter.grad != 0).any(), name


@every_combination
def test_a_module_that_is_off_leaves_no_parameter(changes):
    model = tiny_model(changes)
    parts = {"rve": "use_rve", "cgm": "use_cgm", "contrastive": "use_wcl"}
    names = {name.split(".")[0] for name in model.state_dict()}
    assert {part for part in parts if part in names} == {
        part for part, flag in parts.items() if changes[f"model.{flag}"]
    }
    assert isinstance(model.rve, nn.Identity) != changes["model.use_rve"]
    assert isinstance(model.cgm, NoMemory) != changes["model.use_cgm"]


@every_kind
def test_two_passes_in_evaluation_agree(changes):
    model, inputs = tiny_model(changes), (*tiny_images(2), tiny_reports([3, 5]))
    (first, p), (second, q) = model(*inputs), model(*inputs)
    assert torch.equal(first, second)
    if changes.get("wcl.views") != "augment" and p is not None:
        assert torch.equal(p, q)


def test_dropout_works_in_training():
    model, inputs = tiny_model().train(), (*tiny_images(2), tiny_reports([3, 5]))
    assert not torch.isclose(model(*inputs)[0], model(*inputs)[0]).all()


def test_a_checkpoint_holds_parameters_and_running_statistics_alone():
    model = tiny_model({"model.patch_positions": "sinusoidal"})
    others = set(model.state_dict()) - {name for name, _ in model.named_parameters()}
    kinds = {name.rpartition(".")[2] for name in others}
    assert kinds == {"running_mean", "running_var", "num_batches_tracked"}


def test_the_same_seed_builds_the_same_model():
    settings = settings_with({})
    torch.manual_seed(4)
    first = build_model(settings, VOCABULARY).state_dict()
    torch.manual_seed(4)
    second = build_model(settings, VOCABULARY).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@every_combination
def test_the_optimisers_two_groups_are_all_parameters_once(changes):
    model = tiny_model(changes)
    visual, rest = visual_parameters(model)
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)].split(".")[0] for p in visual} <= {"cnn", "rve"}
    assert not {names[id(p)].split(".")[0] for p in rest} & {"cnn", "rve"}
    assert sorted(names) == sorted(id(p) for p in [*visual, *rest])


# --- the frozen CNN ---

FROZEN = {"visual.frozen": True}


def test_a_frozen_cnn_stays_as_it_is_in_training():
    model, (images, projections) = tiny_model(FROZEN).train(), tiny_images(3)
    before = {name: value.clone() for name, value in model.cnn.state_dict().items()}
    assert model.training and model.rve.training
    assert not any(part.training for part in model.cnn.modules())
    tokens = tiny_reports([3, 4, 2])
    logits, p = model(images, projections, tokens[:, :-1])
    (cross_entropy(logits, tokens[:, 1:], PAD) + p.sum()).backward()
    assert all(parameter.grad is None for parameter in model.cnn.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.cnn.state_dict().items())
    visual, rest = visual_parameters(model)
    assert {id(p) for p in visual} == {id(p) for p in model.rve.parameters()}
    assert num_parameters(model) == sum(p.numel() for p in [*visual, *rest])


def test_a_cnn_that_is_not_frozen_trains():
    model = tiny_model().train()
    assert all(part.training for part in model.cnn.modules())
    assert not any(part.training for part in model.eval().cnn.modules())


@pytest.mark.parametrize("changes", [FROZEN, FROZEN | {"visual.feature_pool": 3}], ids=name_of)
@torch.no_grad()
def test_features_computed_beforehand_are_as_good_as_images(changes):
    model, (images, projections) = tiny_model(changes), tiny_images(3)
    tokens = tiny_reports([3, 5, 4])
    features = model.cnn(images.flatten(0, 1)).unflatten(0, (3, 2))  # (B, I, C, h, w)
    (logits, p), (ours, q) = (model(seen, projections, tokens) for seen in (images, features))
    assert close(logits, ours) and close(p, q)
    half = model(features.half(), projections, tokens)[0]  # as they are kept on disk
    assert half.dtype == torch.float32 and torch.allclose(half, logits, atol=0.05)
    prepared = model.prepare()
    steps = [
        model.step(tokens[:, :1], model.start(seen, projections, 1, prepared))
        for seen in (images, features)
    ]
    assert close(*steps)


# --- sizes ---

PAPER = {
    "data.image_size": 256,
    "data.name": "iu_xray", "data.max_length": 60, "data.num_views": 2,
    "visual.backbone": "resnet101", "visual.last_layer": "layer4", "visual.crop": 224,
    "visual.token_grid": None, "visual.feature_pool": 1, "visual.weights": "imagenet",
    "model.d_model": 512, "model.num_heads": 8, "model.num_encoder_layers": 3,
    "model.num_decoder_layers": 3, "model.d_ff": 512, "model.patch_positions": "none",
    "cgm.num_slots": 2048, "cgm.num_heads": 8, "rve.bottleneck": None,
}  # fmt: skip


def test_at_the_papers_sizes_every_part_has_the_parameters_it_should():
    with torch.device("meta"):  # shapes without numbers
        model = build_model(settings_with({}, base=PAPER), 760, pretrained=False)
    square, norm = 512 * 512 + 512, 2 * 512
    resnet101 = 44_549_160 - (2048 * 1000 + 1000)  # torchvision's count, without its classifier
    assert {name: num_parameters(part) for name, part in model.named_children()} == {
        "cnn": resnet101,
        "standardize": 0,
        "adapter": 0,
        "rve": 2 * (2048 * 2048 * 9 + 2048) + 2048 * 512 + 512 + square * 4 + 2048 * 10,
        "patches": 2048 * 512 + 512,
        "cgm": 2048 * 512 + 4 * square + 2 * square + 512,
        "encoder": 3 * (4 * square + 2 * square + 2 * norm) + norm,
        "decoder": 3 * (8 * square + 2 * square + 3 * norm) + norm,
        "contrastive": (2048 * 512 + 512) + 2 * (512 * 512 + norm) + 512 * 128 + 2 * 128,
        "word_embedding": 760 * 512,
        "dropout": 0,
        "classifier": 760 * 512 + 760,
    }
    assert model.positions.shape == (61, 512)


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({"visual.token_grid": None}, 4),
        ({"visual.token_grid": 2}, 2),
        ({"visual.token_grid": None, "visual.feature_pool": 3}, 2),  # a last window of one row
        ({"visual.token_grid": None, "visual.feature_pool": 4}, 1),
        (FROZEN | {"visual.token_grid": None, "visual.feature_window": 3}, 3),
        (FROZEN | {"visual.token_grid": None, "visual.feature_window": 3,
                   "visual.feature_pool": 2}, 2),
    ],
    ids=name_of,
)  # fmt: skip
def test_places_are_learned_for_the_grid_that_the_encoder_sees(changes, cells):
    model, (images, projections) = tiny_model(changes), tiny_images(2)
    assert model.patches.place.weight.shape == (cells * cells, 12)
    features = model.cnn(images.flatten(0, 1)).unflatten(0, (2, 2))
    window = changes.get("visual.feature_window")
    seen = images if window is None else features[..., :window, :window]
    assert model(seen, projections, tiny_reports([3, 2]))[0].isfinite().all()


def test_a_window_wider_than_the_map_is_an_error():
    with pytest.raises(
        UserError, match=r"feature_window is 5; it must be at most 4: the map of .* 4 x 4"
    ):
        tiny_model(FROZEN | {"visual.feature_window": 5, "visual.token_grid": None})
