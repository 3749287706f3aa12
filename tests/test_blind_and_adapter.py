"""A model that is given no image, and the convolution by which WCL reaches a frozen CNN's map."""

import pytest
import torch
from model_parts import PAD, close, settings_with, tiny_images, tiny_model, tiny_reports

from rcan.errors import UserError
from rcan.model.build import num_parameters, visual_parameters
from rcan.model.rcan import joint_loss

TRANSFORMER = {"model.use_rve": False, "model.use_cgm": False, "model.use_wcl": False}
BLIND = TRANSFORMER | {"visual.blind": True}
WCL_ALONE = TRANSFORMER | {"model.use_wcl": True, "wcl.features": "V_hat", "visual.frozen": True}


def test_a_blind_model_says_the_same_of_all_images_and_views():
    model, tokens = tiny_model(BLIND), tiny_reports([5])[:, :-1]
    (images, projections), (others, _) = tiny_images(1), tiny_images(1, seed=1)
    assert not torch.equal(images, others)
    with torch.no_grad():
        said = model(images, projections, tokens)[0]
        assert torch.equal(said, model(others, 2 - projections, tokens)[0])
        features = torch.randn(1, 2, *model.blind)
        assert close(said, model(features, projections, tokens)[0])
    seeing = tiny_model(TRANSFORMER)
    with torch.no_grad():
        one, other = (seeing(x, projections, tokens)[0] for x in (images, others))
    assert not close(one, other)


def test_a_blind_model_has_no_cnn_to_train():
    assert num_parameters(tiny_model(BLIND).cnn) == 0
    assert num_parameters(tiny_model(TRANSFORMER).cnn) > 0


def test_blind_with_wcl_is_refused():
    with pytest.raises(UserError, match=r"visual\.blind leaves WCL nothing"):
        settings_with({"visual.blind": True, "model.use_wcl": True})


@pytest.mark.parametrize("adapter", [True, False])
def test_wcl_alone_reaches_what_the_generator_reads_by_the_adapter_alone(adapter):
    model = tiny_model(WCL_ALONE | {"visual.adapter": adapter})
    images, projections = tiny_images(6)
    tokens = tiny_reports([4] * 6)
    logits, p = model.train()(images, projections, tokens[:, :-1])
    losses = joint_loss(
        logits, tokens[:, 1:], p, pad_id=PAD, lambda_ce=0.0, tau=0.1, denominator="all"
    )
    losses["loss"].backward()
    shared = [p for n, p in model.named_parameters() if not n.startswith("contrastive.")]
    reached = [p for p in shared if p.grad is not None and p.grad.abs().sum() > 0]
    assert {id(p) for p in reached} == {id(p) for p in model.adapter.parameters()}
    assert bool(reached) == adapter


def test_the_adapter_starts_as_the_identity_and_learns_at_the_visual_rate():
    with torch.random.fork_rng():
        from rcan.model.visual import build_adapter

        V = torch.randn(2, 6, 3, 3)
        assert close(build_adapter(6)(V), V)
    model = tiny_model({"visual.adapter": True})
    visual, rest = visual_parameters(model)
    assert all(any(p is q for q in visual) for p in model.adapter.parameters())
    assert not any(p is q for p in model.adapter.parameters() for q in rest)
