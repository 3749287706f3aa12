"""Recalibration and patch features against the paper's equations, written out as loops."""

import itertools
import math

import pytest
import torch
from model_parts import randomise
from torch import Tensor

from rcan.model.families.rcan.recalibration import RecalibratedVisualExtractor
from rcan.model.visual.extractor import PatchEmbedding

N, C, SIDE = 2, 4, 3


def relu(x: float) -> float:
    return max(x, 0.0)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolution(x: Tensor, weight: Tensor, bias: Tensor, *, depthwise: bool = False) -> Tensor:
    """Zero-padded so that the size stays; each output value is its own sum."""
    reach = weight.shape[-1] // 2
    out = torch.zeros(len(x), len(weight), *x.shape[2:], dtype=x.dtype)
    for n, o, i, j in itertools.product(*map(range, out.shape)):
        total = bias[o].item()
        for c in range(weight.shape[1]):
            for u, v in itertools.product(range(-reach, reach + 1), repeat=2):
                if 0 <= i + u < x.shape[2] and 0 <= j + v < x.shape[3]:
                    source = o if depthwise else c
                    total += (
                        weight[o, c, u + reach, v + reach] * x[n, source, i + u, j + v]
                    ).item()
        out[n, o, i, j] = total
    return out


def literal_rve(rve: RecalibratedVisualExtractor, V: Tensor, *, residual: str, spatial: str):
    """Eqs. 3-7, one number after the other."""
    f_r = V
    convolutions = [layer for layer in rve.f_r if hasattr(layer, "weight")]
    for number, layer in enumerate(convolutions):
        f_r = convolution(f_r, layer.weight, layer.bias)
        if number < len(convolutions) - 1:
            f_r = f_r.clamp(min=0)
    K = (V + f_r if residual == "inner" else f_r).clamp(min=0)  # Eq. 3
    F_c1, F_c2 = rve.channel_attention[0], rve.channel_attention[2]
    s = rve.spatial_attention
    M_S = convolution(K, s.weight, s.bias, depthwise=spatial == "depthwise")  # Eq. 6
    V_hat = torch.empty_like(V)
    for n in range(len(V)):
        X = [sum(K[n, c].flatten().tolist()) / K[n, c].numel() for c in range(C)]  # Eq. 4
        narrow = [
            relu(F_c1.bias[m].item() + sum(F_c1.weight[m, c, 0, 0].item() * X[c] for c in range(C)))
            for m in range(len(F_c1.weight))
        ]
        for c in range(C):
            wide = F_c2.bias[c].item()
            wide += sum(F_c2.weight[c, m, 0, 0].item() * narrow[m] for m in range(len(narrow)))
            M_C = sigmoid(wide)  # Eq. 5
            for i, j in itertools.product(range(SIDE), repeat=2):
                m_s = M_S[n, c if spatial == "depthwise" else 0, i, j].item()
                k = K[n, c, i, j].item()
                V_hat[n, c, i, j] = V[n, c, i, j].item() + sigmoid(M_C + m_s) * k  # Eq. 7
    return V_hat


@pytest.mark.parametrize("residual", ["outer", "inner"])
@pytest.mark.parametrize("spatial", ["depthwise", "single"])
@pytest.mark.parametrize("bottleneck", [None, 3])
def test_recalibration_is_equations_3_to_7(residual, spatial, bottleneck):
    rve = RecalibratedVisualExtractor(
        C, residual=residual, spatial=spatial, reduction=2, bottleneck=bottleneck
    )
    randomise(rve.double())
    V = maps(N, C, SIDE, SIDE)
    with torch.no_grad():
        assert torch.allclose(rve(V), literal_rve(rve, V, residual=residual, spatial=spatial))


def test_each_map_is_recalibrated_by_itself():
    rve = RecalibratedVisualExtractor(
        C, residual="outer", spatial="depthwise", reduction=2, bottleneck=None
    )
    randomise(rve.double())
    V = maps(N, C, SIDE, SIDE)
    assert torch.allclose(rve(V), torch.cat([rve(V[:1]), rve(V[1:])]))


@pytest.mark.parametrize(("reduction", "narrow"), [(1, 4), (2, 2), (4, 1), (64, 1)])
def test_reduction_narrows_the_channel_attention_to_one_channel_at_least(reduction, narrow):
    rve = RecalibratedVisualExtractor(
        C, residual="outer", spatial="single", reduction=reduction, bottleneck=None
    )
    assert rve.channel_attention[0].weight.shape == (narrow, C, 1, 1)


def test_at_the_papers_2048_channels_the_printed_residual_operation_is_76_million_weights():
    sizes = {}
    for bottleneck in (None, 256):
        with torch.device("meta"):
            rve = RecalibratedVisualExtractor(
                2048, residual="outer", spatial="depthwise", reduction=4, bottleneck=bottleneck
            )
        sizes[bottleneck] = sum(p.numel() for p in rve.parameters())
    attention = (2048 * 512 + 512) + (512 * 2048 + 2048) + (2048 * 9 + 2048)
    assert sizes[None] == 2 * (2048 * 2048 * 9 + 2048) + attention
    assert sizes[256] == (
        (2048 * 256 + 256) + (256 * 256 * 9 + 256) + (256 * 2048 + 2048) + attention
    )


def patch_embedding(**options) -> PatchEmbedding:
    options = {"dropout": 0.0, "token_grid": None, "positions": None} | options
    return randomise(PatchEmbedding(C, 5, **options).double()).eval()


def literal_patches(patches: PatchEmbedding, V_hat: Tensor, projections: Tensor, positions: bool):
    """ReLU(W v + b) of each cell, image after image, row after row."""
    linear = patches.project[0]
    num_studies, num_images = projections.shape
    rows = []
    for study in range(num_studies):
        for image in range(num_images):
            V = V_hat[study * num_images + image]
            for i, j in itertools.product(range(V.shape[1]), range(V.shape[2])):
                x = (linear.weight @ V[:, i, j] + linear.bias).clamp(min=0)
                if positions:
                    x = x + patches.place.weight[i * V.shape[2] + j]
                    x = x + patches.projection.weight[projections[study, image]]
                rows.append(x)
    return torch.stack(rows).view(num_studies, -1, 5)


@pytest.mark.parametrize("positions", [None, 3])
def test_patches_of_all_images_follow_each_other(positions):
    patches = patch_embedding(positions=positions)
    V_hat, projections = maps(4, C, 3, 3), torch.tensor([[0, 1], [2, 1]])
    ours = patches(V_hat, projections)
    assert ours.shape == (2, 2 * 9, 5)
    assert torch.allclose(ours, literal_patches(patches, V_hat, projections, positions is not None))


def test_a_token_grid_averages_windows_of_the_map_first():
    V_hat, projections = maps(4, C, 4, 4), torch.tensor([[0, 1], [2, 1]])
    windows = torch.empty(4, C, 2, 2, dtype=torch.float64)
    for i, j in itertools.product(range(2), repeat=2):
        windows[:, :, i, j] = V_hat[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((2, 3))
    patches = patch_embedding(token_grid=2, positions=2)
    expected = literal_patches(patches, windows, projections, positions=True)
    assert torch.allclose(patches(V_hat, projections), expected)


def test_without_positions_there_is_nothing_to_learn_but_the_linear_map():
    names = [name for name, _ in patch_embedding().named_parameters()]
    assert names == ["project.0.weight", "project.0.bias"]


def test_patch_dropout_works_in_training_only():
    patches, V_hat = patch_embedding(dropout=0.5), maps(2, C, 3, 3)
    projections = torch.tensor([[0, 1]])
    evaluated = patches(V_hat, projections)
    torch.manual_seed(0)
    trained = patches.train()(V_hat, projections)
    kept = trained != 0
    assert torch.allclose(trained[kept], 2 * evaluated[kept])
    assert (evaluated[~kept] != 0).any()
