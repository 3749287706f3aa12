"""Every tensor is made where its inputs are, whatever torch's default device is.

Without a GPU: the default is `meta`, whose tensors hold nothing and mix with no others.
"""

from contextlib import nullcontext

import pytest
import torch
from model_parts import (
    MAX_LENGTH,
    PAD,
    READINGS,
    VOCABULARY,
    name_of,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from naive_search import IDS, PENALTIES

from rcan.generation.beam_search import beam_search
from rcan.model.rcan import joint_loss

every_reading = pytest.mark.parametrize("changes", [{}, *READINGS], ids=name_of)


@every_reading
def test_a_training_step_makes_nothing_elsewhere(changes):
    model = tiny_model({**changes, "model.dropout": 0.2}).train()
    (images, projections), tokens = tiny_images(4), tiny_reports([3, 1, 5, 2])
    for denominator in ("all", "negatives"):
        with torch.device("meta"):
            logits, p = model(images, projections, tokens[:, :-1])
            losses = joint_loss(
                logits, tokens[:, 1:], p, pad_id=PAD, lambda_ce=0.5, tau=0.1,
                denominator=denominator,
            )  # fmt: skip
            losses["loss"].backward()
        assert losses["loss"].isfinite()
        assert {x.grad.device.type for x in model.parameters() if x.grad is not None} == {"cpu"}


@every_reading
def test_a_model_elsewhere_trains_there_alone(changes, monkeypatch):
    monkeypatch.setattr("torch.is_autocast_enabled", lambda device: False)  # `meta` has none
    monkeypatch.setattr("torch.autocast", lambda *_, **__: nullcontext())
    model = tiny_model({**changes, "model.dropout": 0.2}).train().to("meta")
    (images, projections), tokens = tiny_images(4), tiny_reports([3, 1, 5, 2]).to("meta")
    logits, p = model(images.to("meta"), projections.to("meta"), tokens[:, :-1])
    losses = joint_loss(
        logits, tokens[:, 1:], p, pad_id=PAD, lambda_ce=0.5, tau=0.1, denominator="negatives"
    )
    losses["loss"].backward()
    assert logits.shape == (4, 6, VOCABULARY) and losses["loss"].device.type == "meta"


@every_reading
def test_a_search_makes_nothing_elsewhere(changes):
    model, (images, projections) = tiny_model(changes), tiny_images(4)

    def reports():
        with torch.no_grad():
            state = model.start(images, projections, 3, model.prepare())
            words, _ = beam_search(
                model.step, state, num_studies=4, beam_size=3, max_length=MAX_LENGTH,
                length_penalties=PENALTIES, device="cpu", **IDS,
            )  # fmt: skip
        return words.tolist()

    expected = reports()
    with torch.device("meta"):
        assert reports() == expected
