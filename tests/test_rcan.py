"""The whole of RCAN: Eqs. 20-24, and what switching parts off leaves."""

import math

import pytest
import torch
import torch.nn.functional as F
from model_parts import (
    PAD,
    VOCABULARY,
    batch_told,
    close,
    cross_entropy_of,
    every_kind,
    read,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from torch import Tensor

from rcan.model.families.rcan.contrastive import contrastive_loss
from rcan.model.families.rcan.model import RCAN
from rcan.model.interface import Alone, Output
from rcan.model.layers.transformer import sinusoids

# --- Eqs. 20-22: how the parts are put together ---


def from_its_parts(
    model: RCAN, images: Tensor, projections: Tensor, tokens: Tensor, *, placed: bool
):
    """Logits and what WCL pools, study by study, as §3 tells it."""
    logits, pooled_V, pooled_V_hat = [], [], []
    visual = model.visual
    for study in range(len(images)):
        V = visual.cnn(images[study])  # Eq. 1, of the study's two images
        if (pool := visual.feature_pool) > 1:
            side = math.ceil(V.shape[-1] / pool)
            windows = [slice(i * pool, (i + 1) * pool) for i in range(side)]
            V = torch.stack([V[:, :, r, c].mean((2, 3)) for r in windows for c in windows], dim=-1)
            V = V.unflatten(-1, (side, side))
        V = visual.adapter(visual.standardize(V))
        V_hat = visual.rve(V)  # Eqs. 3-7
        pooled_V.append(V.mean((2, 3)))  # Eq. 2
        pooled_V_hat.append(V_hat.mean((2, 3)))
        slots = model.cgm.read()
        v = visual.patches(V_hat, projections[study : study + 1])
        v = model.cgm(v, slots, text=False)
        v = v + sinusoids(v.shape[1], 12) if placed else v
        hidden = model.encoder(v)  # Eq. 20
        y_g = model.word_embedding.weight[tokens[study]] * math.sqrt(12)
        y_g = y_g + sinusoids(len(y_g), 12)
        y = model.cgm(y_g[None], slots, text=True)
        y = model.decoder(y, hidden)[0]  # Eq. 21
        logits.append(y @ model.classifier.weight.T + model.classifier.bias)  # Eq. 22
    return torch.stack(logits), torch.stack(pooled_V), torch.stack(pooled_V_hat)


@every_kind
@torch.no_grad()
def test_the_model_is_its_parts_in_the_papers_order(changes):
    model, (images, projections) = tiny_model(changes), tiny_images(3)
    tokens = tiny_reports([5, 2, 6])[:, :-1]
    torch.manual_seed(5)
    logits, p = read(model, images, projections, tokens)
    placed = changes.get("model.patch_positions") == "sinusoidal"
    expected, V, V_hat = from_its_parts(model, images, projections, tokens, placed=placed)
    assert logits.shape == (3, 7, VOCABULARY)
    assert close(logits, expected)
    if model.contrastive is None:
        assert p is None
    else:
        torch.manual_seed(5)  # of the augmentation
        assert close(p, model.contrastive(V_hat if changes.get("wcl.features") == "V_hat" else V))
        assert p.shape == (2, 3, 5)


# --- Eqs. 23-24 ---


def test_cross_entropy_is_the_mean_over_real_tokens():
    logits = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[3, 5, 2, PAD], [4, 2, PAD, PAD]])
    total = 0.0
    for study, word, target in [(0, 0, 3), (0, 1, 5), (0, 2, 2), (1, 0, 4), (1, 1, 2)]:
        powers = [math.exp(x) for x in logits[study, word].tolist()]
        total -= math.log(powers[target] / sum(powers))
    assert cross_entropy_of(logits, targets).item() == pytest.approx(total / 5)


@pytest.mark.parametrize("lambda_ce", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("denominator", ["negatives", "all"])
def test_the_joint_loss_weighs_both_losses_by_lambda(lambda_ce, denominator):
    generator = torch.Generator().manual_seed(1)
    logits, targets = (
        torch.randn(2, 3, 5, generator=generator),
        torch.tensor([[3, 4, 2], [2, 0, 0]]),
    )
    p = F.normalize(torch.randn(2, 8, 3, generator=generator), dim=-1)
    changes = {"wcl.lambda_ce": lambda_ce, "wcl.tau": 0.1, "wcl.denominator": denominator}
    output = Output(logits, {"p": p})
    losses = tiny_model(changes).losses(output, batch_told(targets), Alone())
    ce = cross_entropy_of(logits, targets)
    wcl = contrastive_loss(p, tau=0.1, denominator=denominator)
    assert wcl.item() > 0
    assert losses["loss"].item() == pytest.approx((lambda_ce * ce + (1 - lambda_ce) * wcl).item())
    assert losses["loss_ce"].item() == pytest.approx(ce.item())
    assert losses["loss_wcl"].item() == pytest.approx(wcl.item())


def test_without_wcl_the_loss_is_cross_entropy_unweighted():
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[3, 4, 2], [2, 0, 0]])
    model = tiny_model({"model.use_wcl": False, "wcl.lambda_ce": 0.7})
    losses = model.losses(Output(logits), batch_told(targets), Alone())
    assert set(losses) == {"loss", "loss_ce"}
    assert losses["loss"].item() == cross_entropy_of(logits, targets).item()
