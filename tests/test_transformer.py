"""The Transformer against a literal one, and its two ways of decoding against each other."""

import math

import pytest
import torch
from model_parts import randomise
from torch import Tensor

from rcan.model.layers.transformer import Ancestors, Attention, Decoder, Encoder, sinusoids

d, HEADS, D_FF = 8, 2, 5


def encoder(num_layers=2, dropout=0.0) -> Encoder:
    sizes = {"num_layers": num_layers, "num_heads": HEADS, "d_ff": D_FF, "dropout": dropout}
    return randomise(Encoder(d, **sizes).double()).eval()


def decoder(num_layers=2, dropout=0.0) -> Decoder:
    sizes = {"num_layers": num_layers, "num_heads": HEADS, "d_ff": D_FF, "dropout": dropout}
    return randomise(Decoder(d, **sizes).double(), seed=1).eval()


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def affine(linear, x: Tensor) -> Tensor:
    return linear.weight @ x + linear.bias


def normed(norm, x: Tensor) -> Tensor:
    variance = ((x - x.mean()) ** 2).mean()
    return (x - x.mean()) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def attended(attention: Attention, x: Tensor, sources: list[Tensor]) -> Tensor:
    """What one position x (d,) reads from `sources`, head after head."""
    d_k = d // HEADS
    heads = []
    for h in range(HEADS):
        part = slice(h * d_k, (h + 1) * d_k)
        q = affine(attention.query, x)[part]
        keys = [affine(attention.key, s)[part] for s in sources]
        values = [affine(attention.value, s)[part] for s in sources]
        powers = [math.exp((q @ k).item() / math.sqrt(d_k)) for k in keys]
        heads.append(sum(p / sum(powers) * v for p, v in zip(powers, values, strict=True)))
    return affine(attention.output, torch.cat(heads))


def fed(feed_forward, x: Tensor) -> Tensor:
    return affine(feed_forward[3], affine(feed_forward[0], x).clamp(min=0))


def literal_encoder(encoder: Encoder, x: Tensor) -> Tensor:
    """One study x (S, d): each sublayer reads the normed rows and adds to the plain ones."""
    x = list(x)
    for layer in encoder.layers:
        y = [normed(layer.norms[0], row) for row in x]
        x = [row + attended(layer.attention, q, y) for row, q in zip(x, y, strict=True)]
        x = [row + fed(layer.feed_forward, normed(layer.norms[1], row)) for row in x]
    return torch.stack([normed(encoder.norm, row) for row in x])


def literal_decoder(decoder: Decoder, x: Tensor, hidden: Tensor) -> Tensor:
    """One report x (T, d): each word reads itself and those before it, then all of `hidden`."""
    x = list(x)
    for layer in decoder.layers:
        y = [normed(layer.norms[0], row) for row in x]
        x = [row + attended(layer.self_attention, y[t], y[: t + 1]) for t, row in enumerate(x)]
        x = [
            row + attended(layer.cross_attention, normed(layer.norms[1], row), list(hidden))
            for row in x
        ]
        x = [row + fed(layer.feed_forward, normed(layer.norms[2], row)) for row in x]
    return torch.stack([normed(decoder.norm, row) for row in x])


@pytest.mark.parametrize("num_layers", [1, 3])
@torch.no_grad()
def test_the_encoder_is_the_literal_pre_norm_transformer(num_layers):
    f_e, x = encoder(num_layers), rows(2, 4, d)
    assert torch.allclose(f_e(x), torch.stack([literal_encoder(f_e, study) for study in x]))


@pytest.mark.parametrize("num_layers", [1, 3])
@torch.no_grad()
def test_the_decoder_is_the_literal_pre_norm_transformer(num_layers):
    f_d, x, hidden = decoder(num_layers), rows(2, 5, d), rows(2, 3, d, seed=1)
    literal = [literal_decoder(f_d, *study) for study in zip(x, hidden, strict=True)]
    assert torch.allclose(f_d(x, hidden), torch.stack(literal))


@torch.no_grad()
def test_the_encoder_knows_no_order_of_patches():
    f_e, x, order = encoder(), rows(1, 5, d), torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(f_e(x[:, order]), f_e(x)[:, order])


def test_a_word_of_the_decoder_is_not_touched_by_the_words_after_it():
    f_d, x, hidden = decoder(), rows(2, 6, d), rows(2, 3, d, seed=1)
    changed = x.clone()
    changed[:, 4:] *= -2.0  # a shift alone is lost in the norm
    before, after = f_d(x, hidden), f_d(changed, hidden)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4:], after[:, 4:]).all(-1).any()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(f_d(x, hidden)[:, 3].sum(), x)
    assert (gradient[:, 4:] == 0).all()
    assert (gradient[:, :4] != 0).any(-1).all()


@pytest.mark.parametrize("num_beams", [1, 3])
@torch.no_grad()
def test_word_by_word_over_reordered_beams_gives_what_whole_reports_give(num_beams):
    f_d, hidden, length = decoder(), rows(3, 3, d, seed=1), 6
    generator = torch.Generator().manual_seed(0)
    caches = f_d.start(hidden, num_beams, length)
    ancestors = Ancestors(3, num_beams, length, like=hidden)
    written = rows(3, num_beams, 0, d)
    for position in range(length):
        words = rows(len(hidden), num_beams, d, seed=10 + position)
        written = torch.cat([written, words.unsqueeze(2)], dim=2)
        stepped = f_d.step(words, caches, ancestors)
        for beam in range(num_beams):
            whole = f_d(written[:, beam], hidden)[:, -1]
            assert torch.allclose(stepped[:, beam], whole)
        beams = torch.randint(0, num_beams, (len(hidden), num_beams), generator=generator)
        written = torch.stack([written[study, row] for study, row in enumerate(beams)])
        ancestors.reorder(beams)
        if position == 2:
            kept = torch.tensor([2, 0])
            for part in (*caches, ancestors):
                part.keep(kept)
            hidden, written = hidden[kept], written[kept]


@torch.no_grad()
def test_what_is_seen_is_projected_once_a_study_and_shared_by_its_beams():
    for cache in decoder().start(rows(2, 3, d), num_beams=4, max_length=6):
        assert cache.cross_keys.shape == cache.cross_values.shape == (2, HEADS, 3, d // HEADS)
        assert cache.keys.shape == cache.values.shape == (2, HEADS, 4 * 6, d // HEADS)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_in_training_is_attention_but_for_what_is_dropped(causal):
    attention = randomise(Attention(d, HEADS, dropout=1e-9)).double()  # too little to drop any
    x = rows(2, 5, d)
    keys, values = attention.keys_values(x)
    expected = attention.eval()(x, keys, values, causal=causal)
    assert torch.allclose(attention.train()(x, keys, values, causal=causal), expected)


@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_attention_drops_weights_whose_mean_stays(causal):
    attention = randomise(Attention(d, HEADS, dropout=0.5)).double()
    x = rows(1, 4, d)
    keys, values = attention.keys_values(x)
    expected = attention.eval()(x, keys, values, causal=causal)
    torch.manual_seed(0)
    attention.train()
    drawn = torch.stack([attention(x, keys, values, causal=causal) for _ in range(4000)])
    deviation = drawn.std(0)
    assert (deviation > 0.01).all()
    assert ((drawn.mean(0) - expected).abs() < 5 * deviation / 4000**0.5).all()


@torch.no_grad()
def test_a_mask_counts_in_training_too():
    attention = randomise(Attention(d, HEADS, dropout=0.3)).double().train()
    x = rows(2, 5, d)
    keys, values = attention.keys_values(x)
    mask = torch.full((2, 1, 5, 5), float("-inf"), dtype=x.dtype)
    mask[..., 0] = 0.0  # the first position alone may be looked at
    changed = values.clone()
    changed[:, :, 1:] += 5.0
    torch.manual_seed(0)
    before = attention(x, keys, values, mask=mask)
    torch.manual_seed(0)
    assert torch.equal(attention(x, keys, changed, mask=mask), before)


@pytest.mark.parametrize("build", [encoder, decoder])
def test_dropout_is_for_training_only(build):
    part = build(dropout=0.4)
    arguments = [rows(1, 5, d)] + ([rows(1, 3, d, seed=1)] if build is decoder else [])
    assert torch.equal(part(*arguments), part(*arguments))
    assert torch.allclose(part(*arguments), build(dropout=0.0)(*arguments))
    part.train()
    assert not torch.isclose(part(*arguments), part(*arguments)).all()


@pytest.mark.parametrize(("length", "width"), [(1, 2), (7, 6), (61, 12)])
def test_sinusoids_are_pairs_of_sine_and_cosine(length, width):
    table = sinusoids(length, width)
    assert table.shape == (length, width)
    for place in range(length):
        for pair in range(width // 2):
            angle = place / 10000 ** (2 * pair / width)
            assert table[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)
