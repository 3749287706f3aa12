"""The whole model: Eqs. 20-24, what switching parts off leaves, and that writing is reading."""

import math

import pytest
import torch
import torch.nn.functional as F
from model_parts import (
    MAX_LENGTH,
    PAD,
    VOCABULARY,
    close,
    every_kind,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from torch import Tensor

from rcan.model.contrastive import contrastive_loss
from rcan.model.rcan import RCAN, cross_entropy, joint_loss
from rcan.model.transformer import sinusoids

# --- Eqs. 20-22: how the parts are put together ---


def from_its_parts(
    model: RCAN, images: Tensor, projections: Tensor, tokens: Tensor, *, placed: bool
):
    """Logits and what WCL pools, study by study, as §3 tells it."""
    logits, pooled_V, pooled_V_hat = [], [], []
    for study in range(len(images)):
        V = model.cnn(images[study])  # Eq. 1, of the study's two images
        if model.feature_pool > 1:
            side = math.ceil(V.shape[-1] / model.feature_pool)
            windows = [slice(i * model.feature_pool, (i + 1) * model.feature_pool)
                       for i in range(side)]  # fmt: skip
            V = torch.stack([V[:, :, r, c].mean((2, 3)) for r in windows for c in windows], dim=-1)
            V = V.unflatten(-1, (side, side))
        V = model.adapter(model.standardize(V))
        V_hat = model.rve(V)  # Eqs. 3-7
        pooled_V.append(V.mean((2, 3)))  # Eq. 2
        pooled_V_hat.append(V_hat.mean((2, 3)))
        slots = model.cgm.read()
        v = model.patches(V_hat, projections[study : study + 1])
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
    logits, p = model(images, projections, tokens)
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
    assert cross_entropy(logits, targets, PAD).item() == pytest.approx(total / 5)


@pytest.mark.parametrize("lambda_ce", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("denominator", ["negatives", "all"])
def test_the_joint_loss_weighs_both_losses_by_lambda(lambda_ce, denominator):
    generator = torch.Generator().manual_seed(1)
    logits, targets = (
        torch.randn(2, 3, 5, generator=generator),
        torch.tensor([[3, 4, 2], [2, 0, 0]]),
    )
    p = F.normalize(torch.randn(2, 8, 3, generator=generator), dim=-1)
    losses = joint_loss(
        logits, targets, p, pad_id=PAD, lambda_ce=lambda_ce, tau=0.1, denominator=denominator
    )
    ce = cross_entropy(logits, targets, PAD)
    wcl = contrastive_loss(p, tau=0.1, denominator=denominator)
    assert wcl.item() > 0
    assert losses["loss"].item() == pytest.approx((lambda_ce * ce + (1 - lambda_ce) * wcl).item())
    assert losses["loss_ce"].item() == pytest.approx(ce.item())
    assert losses["loss_wcl"].item() == pytest.approx(wcl.item())


def test_without_wcl_the_loss_is_cross_entropy_unweighted():
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[3, 4, 2], [2, 0, 0]])
    losses = joint_loss(
        logits, targets, None, pad_id=PAD, lambda_ce=0.7, tau=0.1, denominator="all"
    )
    assert set(losses) == {"loss", "loss_ce"}
    assert losses["loss"].item() == cross_entropy(logits, targets, PAD).item()


# --- no word sees the words after it; padding and company change nothing ---


@every_kind
def test_logits_ignore_the_tokens_after_theirs(changes):
    model, (images, projections) = tiny_model(changes), tiny_images(2)
    tokens = tiny_reports([6, 6])
    other = tokens.clone()
    other[:, 4:] = (other[:, 4:] + 3) % VOCABULARY
    with torch.no_grad():
        before = model(images, projections, tokens)[0]
        after = model(images, projections, other)[0]
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4:], after[:, 4:]).all(-1).any()

    words = model.word_embedding(tokens).detach().requires_grad_()
    model.word_embedding.forward = lambda _: words
    (gradient,) = torch.autograd.grad(model(images, projections, tokens)[0][:, 3].sum(), words)
    assert (gradient[:, 4:] == 0).all()
    assert (gradient[:, :4] != 0).any(-1).all()


@every_kind
@torch.no_grad()
def test_a_batch_gives_what_its_studies_give_one_by_one(changes):
    model, (images, projections) = tiny_model(changes), tiny_images(3)
    tokens = tiny_reports([5, 2, 6])
    together = model(images, projections, tokens)[0]
    for study in range(3):
        one = slice(study, study + 1)
        assert close(together[one], model(images[one], projections[one], tokens[one])[0])


@every_kind
@torch.no_grad()
def test_padding_changes_neither_logits_nor_loss(changes):
    model, (images, projections) = tiny_model(changes), tiny_images(2)
    short, long = tiny_reports([5, 2]), tiny_reports([5, 2], width=MAX_LENGTH + 2)
    torch.manual_seed(0)
    logits = model(images, projections, short[:, :-1])[0]
    torch.manual_seed(0)
    padded = model(images, projections, long[:, :-1])[0]
    real = short[:, 1:] != PAD
    assert close(logits[real], padded[:, : logits.shape[1]][real])
    losses = [cross_entropy(*case, PAD) for case in ((logits, short[:, 1:]), (padded, long[:, 1:]))]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)


# --- one word at a time is the same as all at once ---


@every_kind
@pytest.mark.parametrize("num_beams", [1, 3])
@torch.no_grad()
def test_a_step_gives_what_the_whole_report_gives_however_beams_are_reordered(changes, num_beams):
    model, (images, projections) = tiny_model(changes), tiny_images(2)
    generator = torch.Generator().manual_seed(3)
    prepared = model.prepare()
    state = model.start(images, projections, num_beams, prepared)
    tokens = torch.ones(2, num_beams, 1, dtype=torch.long)
    for position in range(MAX_LENGTH + 1):  # bos and the longest report
        logprobs = model.step(tokens[:, :, -1], state)
        assert logprobs.shape == (len(images), num_beams, VOCABULARY)
        for beam in range(num_beams):
            logits = model(images, projections, tokens[:, beam])[0]
            assert close(logprobs[:, beam], logits[:, -1].log_softmax(-1))
        beams = torch.randint(0, num_beams, (len(images), num_beams), generator=generator)
        words = torch.randint(0, VOCABULARY, (len(images), num_beams, 1), generator=generator)
        tokens = torch.stack([tokens[study, row] for study, row in enumerate(beams)])
        tokens = torch.cat([tokens, words], dim=2)
        state.reorder(beams)
        assert state.position == position + 1
        if position == 2:
            state.keep(torch.tensor([1]))
            images, projections, tokens = images[1:], projections[1:], tokens[1:]
