"""Every tensor is made where its inputs are, whatever torch's default device is; and trainings at
once on one machine each take a GPU of their own as long as there is one.

Without a GPU: the default is `meta`, whose tensors hold nothing and mix with no others.
"""

from contextlib import nullcontext

import pytest
import torch
from model_parts import (
    MAX_LENGTH,
    OTHER_FAMILIES,
    PAD,
    READINGS,
    VOCABULARY,
    losses_of,
    name_of,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from naive_search import IDS, PENALTIES

from rcan.data.batches import Batch
from rcan.generation.beam_search import beam_search
from rcan.model.interface import Alone
from rcan.training.devices import free_gpu

CHOSEN = [{}, *READINGS, *OTHER_FAMILIES]
every_reading = pytest.mark.parametrize("changes", CHOSEN, ids=name_of)
every_loss = pytest.mark.parametrize(
    "changes", [*CHOSEN, *({**kind, "wcl.denominator": "all"} for kind in [{}, *READINGS])],
    ids=name_of,
)  # fmt: skip

# --- tensors ---


@every_loss
def test_a_training_step_makes_nothing_elsewhere(changes):
    model = tiny_model({**changes, "model.dropout": 0.2}).train()
    (images, projections), tokens = tiny_images(4), tiny_reports([3, 1, 5, 2])
    with torch.device("meta"):
        losses = losses_of(model, images, projections, tokens)
        losses["loss"].backward()
    assert losses["loss"].isfinite()
    assert {x.grad.device.type for x in model.parameters() if x.grad is not None} == {"cpu"}


@every_reading
def test_a_model_elsewhere_trains_there_alone(changes, monkeypatch):
    monkeypatch.setattr("torch.is_autocast_enabled", lambda device: False)  # `meta` has none
    monkeypatch.setattr("torch.autocast", lambda *_, **__: nullcontext())
    if changes.get("model.family") in ("cmas", "coatt", "hrgr", "ppked"):
        pytest.skip(
            "how many sentences there are, which reports: read from values, `meta` has none"
        )
    model = tiny_model({**changes, "model.dropout": 0.2}).train().to("meta")
    (images, projections), tokens = tiny_images(4), tiny_reports([3, 1, 5, 2])
    batch = Batch(images, projections, tokens, PAD, torch.arange(4)).to(torch.device("meta"))
    output = model(batch)
    loss = model.losses(output, batch, Alone())["loss"]
    loss.backward()
    assert output.logits.shape == (4, 6, VOCABULARY) and loss.device.type == "meta"


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


# --- GPUs ---


@pytest.fixture(autouse=True)
def all_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_training_takes_the_first_free_gpu(tmp_path):
    with free_gpu(tmp_path, 2) as first:
        with free_gpu(tmp_path, 2) as second:
            assert (first, second) == (0, 1)
        with free_gpu(tmp_path, 2) as again:
            assert again == 1


def test_all_taken_means_sharing_the_first(tmp_path):
    with free_gpu(tmp_path, 1), free_gpu(tmp_path, 1) as shared:
        assert shared == 0


def test_gpus_are_told_apart_by_their_own_names(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with free_gpu(tmp_path, 1):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3,MIG-GPU-1/0/1")
        with free_gpu(tmp_path, 3) as second, free_gpu(tmp_path, 3) as third:
            assert (second, third) == (0, 2)


def test_a_gpu_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), free_gpu(tmp_path, 2):
        raise RuntimeError
    with free_gpu(tmp_path, 2) as index:
        assert index == 0
