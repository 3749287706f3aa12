"""Attention read from outside the model, and the part of the picture that each patch stands for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import R2GENCMN, TRANSFORMER, prepare, tiny

from rcan.attention.patches import places_of
from rcan.attention.weights import attention_of_reports
from rcan.data.batches import Batch
from rcan.data.store import Split, View, open_split
from rcan.errors import UserError
from rcan.model.build import build_model
from rcan.model.interface import ReportModel
from rcan.model.layers.transformer import Attention, attention_weights
from rcan.text.tokenizer import Tokenizer
from rcan.training.inputs import study_batches

WORDS = 30


def model_of(changes=None):
    torch.manual_seed(0)
    return build_model(tiny(changes), WORDS).eval()


def studies(number: int) -> Batch:
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (number, 2, 28, 28), dtype=torch.uint8, generator=random)
    projections = torch.ones(number, 2, dtype=torch.int64)
    return Batch(images, projections, torch.zeros(number, 1).long(), pad_id=0)


def reports(*lengths: int) -> list[list[int]]:
    return [[1, *(4 + (7 * n + k) % (WORDS - 4) for k in range(n)), 2] for n in lengths]


def test_weights_are_those_of_torchs_own_attention():
    torch.manual_seed(0)
    layer, x, hidden = Attention(16, 4, 0.0).eval(), torch.randn(2, 5, 16), torch.randn(2, 9, 16)
    keys, _ = layer.keys_values(hidden)
    queries = layer._heads(layer.query(x))
    every_patch = torch.eye(9).expand(2, 4, 9, 9)  # as values: what comes out are the weights
    wanted = F.scaled_dot_product_attention(queries, keys, every_patch)
    torch.testing.assert_close(attention_weights(layer, x, keys), wanted)


@pytest.mark.parametrize("changes", [None, TRANSFORMER, R2GENCMN], ids=["rcan", "plain", "cmn"])
def test_the_last_layers_answer_follows_from_the_weights(changes):
    model, batch = model_of(changes), studies(2)._replace(tokens=torch.tensor(reports(6, 6)))
    layer = model.decoder.layers[-1].cross_attention
    seen = []
    hook = layer.register_forward_hook(lambda _, inputs, answer: seen.append((*inputs, answer)))
    mean = model.attention(batch)
    hook.remove()
    x, keys, values, answer = (one.clone() for one in seen[0])
    weights = attention_weights(layer, x, keys)
    torch.testing.assert_close(layer.output((weights @ values).transpose(1, 2).flatten(2)), answer)
    torch.testing.assert_close(mean, weights.mean(1))
    torch.testing.assert_close(mean.sum(-1), torch.ones(2, 7))
    assert not layer._forward_pre_hooks, "the model is left as it was"


def test_a_row_belongs_to_the_word_that_was_written_with_it():
    model, batch = model_of(), studies(1)
    words = reports(8)[0]
    other = [*words[:4], (words[4] + 1) % WORDS, *words[5:]]  # word 3, counted from 0
    one, two = (attention_of_reports(model, [batch], [ids], pad_id=0)[0] for ids in (words, other))
    assert len(one) == 8
    np.testing.assert_array_equal(one[:4], two[:4])  # it was not yet read when it was written
    assert (one[4] != two[4]).any()


def test_neither_padding_nor_neighbours_change_what_a_report_looked_at():
    model, batch, texts = model_of(), studies(3), reports(9, 3, 0)
    together = attention_of_reports(model, [batch], texts, pad_id=0)
    assert [rows.shape for rows in together] == [(9, 98), (3, 98), (0, 98)]
    for place, text in enumerate(texts[:2]):
        alone = Batch(*(x[[place]] for x in batch[:3]), pad_id=0)
        [rows] = attention_of_reports(model, [alone], [text], pad_id=0)
        np.testing.assert_allclose(rows, together[place], atol=1e-6)


@pytest.mark.parametrize("number", [2, 4])
def test_reports_of_other_studies_are_refused(number):
    with pytest.raises(UserError, match="one report for each study"):
        attention_of_reports(model_of(), [studies(3)], reports(*[4] * number), pad_id=0)


def test_a_model_that_looks_nowhere_is_refused_in_one_line():
    model = ReportModel(model_of().visual, max_length=9)
    with pytest.raises(UserError, match="this model has no attention to draw"):
        attention_of_reports(model, [studies(1)], reports(4), pad_id=0)


# How images become patches: as the demo, cut smaller, averaged, and from windows of kept maps.
WAYS = {
    "as it is": {},
    "an odd crop": {"data.image_size": 33, "visual.crop": 30},
    "three stages": {"visual.channels": [4, 8, 8], "data.image_size": 64, "visual.crop": 64},
    "pooled": {"visual.feature_pool": 2},
    "averaged": {"visual.feature_pool": 2, "visual.token_grid": 3},
    "a window of kept maps": {
        "visual.frozen": True, "visual.feature_window": 5, "visual.feature_pool": 2,
        "visual.token_grid": 2,
    },
}  # fmt: skip


def spots(where: np.ndarray, at: float) -> np.ndarray:
    """For each patch's place (I, size, size) the study's images, grey but for a light in it: `at`
    0 at the upper left of its whole pixels, 1 at the lower right."""
    images = np.full(where.shape, 127, np.uint8)
    for study, place in zip(images, where, strict=True):
        whole = np.nonzero(place > 0.9 * place.max())
        view, y, x = (int(axis.min() + at * (axis.max() - axis.min())) for axis in whole)
        study[view, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 255
    return images


WHOLE = ("as it is", "an odd crop", "three stages")  # the mean of fewer cells is louder at an edge
SPOTS = [(way, 0.5) for way in WAYS] + [(way, at) for way in WHOLE for at in (0.0, 1.0)]


@pytest.mark.parametrize(("way", "at"), SPOTS)
def test_a_bright_spot_lights_up_the_patch_that_stands_for_it(way, at, tmp_path):
    settings = tiny(TRANSFORMER | {"model.patch_positions": "none"} | WAYS[way])
    place = prepare(tmp_path, settings)
    words = Tokenizer.load(place["tokenizer"])
    model = build_model(settings, len(words)).eval()
    with torch.no_grad():  # so that light spreads alike to all sides, and most of it stays
        for weights in (*model.visual.cnn.parameters(), *model.visual.patches.parameters()):
            weights.fill_(weights.abs().mean())
            if weights.shape[2:] == (3, 3):
                weights[:, :, 1, 1] *= 5
    places = places_of(settings, model.visual.map_side)
    images = spots(places.spread(np.eye(places.num_patches)), at)
    study = open_split(place["processed"], "test").studies[0]
    lit = [
        replace(study, views=(View(2 * patch, "frontal"), View(2 * patch + 1, "lateral")))
        for patch in range(places.num_patches)
    ]
    batches = study_batches(
        Split("test", lit, images.reshape(-1, *images.shape[2:])), words, settings,
        visual=model.visual, processed=place["processed"], root=tmp_path, batch_size=len(lit),
    )  # fmt: skip
    [batch] = batches.in_order()
    with torch.no_grad():
        # before any of them sees another
        patches = model.visual(batch.images, batch.projections).patches
    assert patches.sum(-1).argmax(1).tolist() == list(range(places.num_patches))


@pytest.mark.parametrize("way", WAYS)
def test_attention_is_spread_over_the_picture_and_none_is_lost(way):
    settings = tiny(WAYS[way])
    side = build_model(settings, WORDS).visual.map_side
    places = places_of(settings, side)
    weights = np.random.default_rng(0).random((3, places.num_patches))
    pixels = places.spread(weights)
    assert pixels.shape == (3, 2, settings.data.image_size, settings.data.image_size)
    np.testing.assert_allclose(pixels.sum((1, 2, 3)), weights.sum(1))
    border = (settings.data.image_size - settings.visual.crop) // 2
    assert not pixels[..., :border, :].any() and not pixels[..., :border].any()
    assert places.even().sum() == pytest.approx(1)


def test_patches_of_a_whole_map_share_the_crop_among_them():
    settings = tiny()
    places = places_of(settings, 7)
    covered = (places.axis > 0).sum(0)
    assert covered[:2].tolist() == [0, 0] and covered[-2:].tolist() == [0, 0]  # cut off
    assert (covered[2:-2] >= 1).all() and covered.max() <= 2  # two share a pixel between them
