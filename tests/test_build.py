"""The model as settings build it: modules on and off, the frozen CNN, no image at all, sizes."""

import pytest
import torch
from model_parts import (
    VOCABULARY,
    close,
    cross_entropy_of,
    every_combination,
    losses_of,
    name_of,
    read,
    settings_with,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from torch import nn

from rcan.errors import UserError
from rcan.model.build import build_model, num_parameters
from rcan.model.families.rcan.memory import NoMemory
from rcan.model.visual.extractor import build_adapter


@every_combination
def test_a_module_that_is_off_leaves_no_parameter(changes):
    model = tiny_model(changes)
    parts = {"rve": "use_rve", "cgm": "use_cgm", "contrastive": "use_wcl"}
    names = {name.removeprefix("visual.").split(".")[0] for name in model.state_dict()}
    assert {part for part in parts if part in names} == {
        part for part, flag in parts.items() if changes[f"model.{flag}"]
    }
    assert isinstance(model.visual.rve, nn.Identity) != changes["model.use_rve"]
    assert isinstance(model.cgm, NoMemory) != changes["model.use_cgm"]


def test_dropout_works_in_training():
    model, inputs = tiny_model().train(), (*tiny_images(2), tiny_reports([3, 5]))
    assert not torch.isclose(read(model, *inputs)[0], read(model, *inputs)[0]).all()


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
    visual, rest = model.parameter_groups().values()
    names = {id(p): name for name, p in model.named_parameters()}
    assert all(names[id(p)].startswith(("visual.cnn.", "visual.rve.")) for p in visual)
    assert not any(names[id(p)].startswith(("visual.cnn.", "visual.rve.")) for p in rest)
    assert sorted(names) == sorted(id(p) for p in [*visual, *rest])


# --- the frozen CNN ---

FROZEN = {"visual.frozen": True}


def test_a_frozen_cnn_stays_as_it_is_in_training():
    model, (images, projections) = tiny_model(FROZEN).train(), tiny_images(3)
    before = {name: value.clone() for name, value in model.visual.cnn.state_dict().items()}
    assert model.training and model.visual.rve.training
    assert not any(part.training for part in model.visual.cnn.modules())
    tokens = tiny_reports([3, 4, 2])
    logits, p = read(model, images, projections, tokens[:, :-1])
    (cross_entropy_of(logits, tokens[:, 1:]) + p.sum()).backward()
    assert all(parameter.grad is None for parameter in model.visual.cnn.parameters())
    assert all(
        torch.equal(before[name], value) for name, value in model.visual.cnn.state_dict().items()
    )
    visual, rest = model.parameter_groups().values()
    assert {id(p) for p in visual} == {id(p) for p in model.visual.rve.parameters()}
    assert num_parameters(model) == sum(p.numel() for p in [*visual, *rest])


def test_a_cnn_that_is_not_frozen_trains():
    model = tiny_model().train()
    assert all(part.training for part in model.visual.cnn.modules())
    assert not any(part.training for part in model.eval().visual.cnn.modules())


# --- blind, and the convolution by which WCL reaches a frozen CNN's map ---

TRANSFORMER = {"model.use_rve": False, "model.use_cgm": False, "model.use_wcl": False}
BLIND = TRANSFORMER | {"visual.blind": True}
WCL_ALONE = TRANSFORMER | FROZEN | {"model.use_wcl": True, "wcl.features": "V_hat"}


def test_a_blind_model_has_no_cnn_to_train():
    assert num_parameters(tiny_model(BLIND).visual.cnn) == 0
    assert num_parameters(tiny_model(TRANSFORMER).visual.cnn) > 0


def test_blind_with_wcl_is_refused():
    with pytest.raises(UserError, match=r"visual\.blind leaves WCL nothing"):
        settings_with({"visual.blind": True, "model.use_wcl": True})


@pytest.mark.parametrize("adapter", [True, False])
def test_wcl_alone_reaches_what_the_generator_reads_by_the_adapter_alone(adapter):
    alone = {"visual.adapter": adapter, "wcl.lambda_ce": 0.0, "wcl.denominator": "all"}
    model = tiny_model(WCL_ALONE | alone)
    images, projections = tiny_images(6)
    losses_of(model.train(), images, projections, tiny_reports([4] * 6))["loss"].backward()
    shared = [p for n, p in model.named_parameters() if not n.startswith("contrastive.")]
    reached = [p for p in shared if p.grad is not None and p.grad.abs().sum() > 0]
    assert {id(p) for p in reached} == {id(p) for p in model.visual.adapter.parameters()}
    assert bool(reached) == adapter


def test_the_adapter_starts_as_the_identity_and_learns_at_the_visual_rate():
    V = torch.randn(2, 6, 3, 3)
    assert close(build_adapter(6)(V), V)
    model = tiny_model({"visual.adapter": True})
    visual, rest = model.parameter_groups().values()
    assert all(any(p is q for q in visual) for p in model.visual.adapter.parameters())
    assert not any(p is q for p in model.visual.adapter.parameters() for q in rest)


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
    parts = {**dict(model.named_children()), **dict(model.visual.named_children())}
    assert not list(parts.pop("tables").buffers())  # RCAN learns nothing before it is trained
    assert num_parameters(parts.pop("visual")) == sum(map(num_parameters, model.visual.children()))
    assert {name: num_parameters(part) for name, part in parts.items()} == {
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
    assert model.visual.patches.place.weight.shape == (cells * cells, 12)
    features = model.visual.cnn(images.flatten(0, 1)).unflatten(0, (2, 2))
    window = changes.get("visual.feature_window")
    seen = images if window is None else features[..., :window, :window]
    assert read(model, seen, projections, tiny_reports([3, 2]))[0].isfinite().all()


def test_a_window_wider_than_the_map_is_an_error():
    with pytest.raises(
        UserError, match=r"feature_window is 5; it must be at most 4: the map of .* 4 x 4"
    ):
        tiny_model(FROZEN | {"visual.feature_window": 5, "visual.token_grid": None})
