"""WCL: weak labels by plain union-find, Eq. 19 by loops, one example by hand, and no NaN ever."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from model_parts import randomise
from torch import Tensor

from rcan.model.families.rcan.contrastive import (
    WeaklySupervisedContrastive,
    contrastive_loss,
    pooled_features,
    weak_positives,
)

DENOMINATORS = ["negatives", "all"]


def embeddings(num_studies: int, width: int = 3, seed: int = 0, views: int = 2) -> Tensor:
    """(views, B, D), of length 1; in few dimensions components of many sizes appear."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(views, num_studies, width, generator=generator, dtype=torch.float64)
    return F.normalize(p, dim=-1)


def on_circle(*degrees: float) -> Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def components(p: Tensor) -> list[int]:
    """The class of each row of `p`: union-find over edges to the nearest neighbour by cosine."""
    rows = p.tolist()
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        return i if parent[i] == i else root(parent[i])

    for i, a in enumerate(rows):
        cosines = {
            j: sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
            for j, b in enumerate(rows)
            if j != i
        }
        if cosines:
            parent[root(i)] = root(max(cosines, key=cosines.get))
    return [root(i) for i in range(len(rows))]


def same(labels: list[int]) -> Tensor:
    return torch.tensor([[a == b for b in labels] for a in labels])


def literal_loss(p: Tensor, tau: float, denominator: str) -> Tensor:
    """Eq. 19 with its minus, anchor after anchor; the labels of each view are the other view's."""
    losses = []
    for view in range(2):
        labels = components(p[1 - view].detach())
        for i in range(len(labels)):
            others = [j for j in range(len(labels)) if j != i]
            positives = [j for j in others if labels[j] == labels[i]]
            negatives = [j for j in others if labels[j] != labels[i]]
            if not positives or not negatives:
                continue
            # The cosine is the dot product, as lengths are 1.
            power = {j: ((p[view, i] @ p[view, j]) / tau).exp() for j in others}
            total = sum(power[j] for j in (negatives if denominator == "negatives" else others))
            losses.append(sum(-(power[j] / total).log() for j in positives) / len(positives))
    return sum(losses) / len(losses) if losses else p.sum() * 0


@pytest.mark.parametrize("num_studies", [1, 2, 3, 4, 5, 8, 9, 16, 17, 40])
@pytest.mark.parametrize("width", [2, 6])
def test_weak_labels_are_the_components_of_the_nearest_neighbour_graph(num_studies, width):
    found = set()
    for seed in range(8):
        p = embeddings(num_studies, width, seed, views=1)[0]
        labels = components(p)
        assert torch.equal(weak_positives(p), same(labels))
        found.add(len(set(labels)))
    assert num_studies < 5 or max(found) > 1


@pytest.mark.parametrize("length", [2, 3, 4, 5, 8, 9, 16, 17, 32, 33])
def test_a_chain_of_neighbours_is_one_component_from_end_to_end(length):
    # Each gap is wider than the one before: everybody's nearest is its predecessor.
    degrees = [sum(1 + step / 50 for step in range(place)) for place in range(length)]
    shuffled = torch.randperm(length, generator=torch.Generator().manual_seed(0))
    chain = on_circle(*degrees)[shuffled]
    assert weak_positives(chain).all()
    far = torch.cat([chain, on_circle(200, 200.5)])
    assert torch.equal(weak_positives(far), same([0] * length + [1] * 2))


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_the_loss_and_its_gradient_are_equation_19(denominator, tau):
    for seed, num_studies in enumerate([1, 2, 3, 4, 5, 6, 9, 12, 16]):
        p = embeddings(num_studies, seed=seed).requires_grad_()
        ours = contrastive_loss(p, tau=tau, denominator=denominator)
        literal = literal_loss(p, tau, denominator)
        assert ours.item() == pytest.approx(literal.item(), abs=1e-12)
        ours, literal = (torch.autograd.grad(loss, p)[0] for loss in (ours, literal))
        assert torch.allclose(ours, literal)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_an_example_worked_by_hand(denominator):
    # Views 1 and 2 hold the same four points, a = (1, 0), b = (0.8, 0.6), -a and -b, but studies 1
    # and 2 have changed places:
    #     study    0   1   2   3
    #     view 1   a  -a   b  -b      its nearest neighbours join {0, 2} and {1, 3}
    #     view 2   a   b  -a  -b                          join {0, 1} and {2, 3}
    # View 1 is labelled by view 2. Study 0's positive is study 1, s = a·(-a) = -1; its negatives
    # are 2 and 3, s = 0.8 and -0.8. With τ = 0.2 the scores are -5, 4 and -4:
    #     negatives:  5 + log(e⁴ + e⁻⁴)           all:  5 + log(e⁴ + e⁻⁴ + e⁻⁵)
    # The other seven anchors mirror it, so that this is the mean.
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.8, 0.6])
    p = torch.stack([torch.stack([a, -a, b, -b]), torch.stack([a, b, -a, -b])])
    e = math.e
    expected = {
        "negatives": 5 + math.log(e**4 + e**-4),  # 9.000335
        "all": 5 + math.log(e**4 + e**-4 + e**-5),  # 9.000459
    }[denominator]
    loss = contrastive_loss(p, tau=0.2, denominator=denominator)
    assert loss.item() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("num_studies", [1, 2, 3, 5])
def test_one_component_gives_exactly_zero(denominator, num_studies):
    chain = on_circle(*(place + place**2 / 100 for place in range(num_studies)))
    p = torch.stack([chain, chain]).requires_grad_()
    loss = contrastive_loss(p, tau=0.1, denominator=denominator)
    loss.backward()
    assert loss.item() == 0.0
    assert (p.grad == 0).all()


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_a_view_without_anchors_does_not_thin_the_mean(denominator):
    # View 2 is one component, so view 1 has no negatives; only view 2 is counted, over 4 anchors.
    p = torch.stack([on_circle(0, 5, 90, 93), on_circle(0, 1, 2.5, 5)])
    losses = []
    for i, j, k, m in [(0, 1, 2, 3), (1, 0, 2, 3), (2, 3, 0, 1), (3, 2, 0, 1)]:  # i, its positive
        s_ij, s_ik, s_im = ((p[1, i] @ p[1, other]).item() for other in (j, k, m))
        counted = [s_ik, s_im] if denominator == "negatives" else [s_ij, s_ik, s_im]
        losses.append(math.log(sum(math.exp(s) for s in counted)) - s_ij)
    loss = contrastive_loss(p, tau=1.0, denominator=denominator)
    assert loss.item() == pytest.approx(sum(losses) / 4)


def test_labels_come_without_gradient():
    p = embeddings(6).requires_grad_()
    assert not weak_positives(p[0]).requires_grad
    assert contrastive_loss(p, tau=0.1, denominator="all").requires_grad


DEGENERATE = {
    "all the same": torch.ones(2, 6, 3),
    "all zero": torch.zeros(2, 6, 3),
    "in pairs": embeddings(3, seed=3).repeat(1, 2, 1),
    "both views the same": embeddings(6, views=1).repeat(2, 1, 1),
    "opposites": torch.cat([embeddings(4), -embeddings(4)], dim=1),
    "one": embeddings(1),
    "two": embeddings(2),
    "three": embeddings(3),
}


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("tau", [0.05, 1e-3])
def test_no_batch_makes_a_number_that_is_none(case, denominator, tau):
    points = DEGENERATE[case].float().requires_grad_()
    loss = contrastive_loss(F.normalize(points, dim=-1), tau=tau, denominator=denominator)
    loss.backward()
    assert loss.isfinite() and points.grad.isfinite().all()


def test_pooled_features_average_every_map_and_keep_the_images_of_a_study_together():
    V = torch.randn(6, 4, 2, 3, dtype=torch.float64)  # three studies of two images
    pooled = pooled_features(V, 2)
    assert pooled.shape == (3, 2, 4)
    for study, image, c in itertools.product(range(3), range(2), range(4)):
        values = V[2 * study + image, c].flatten().tolist()
        assert pooled[study, image, c].item() == pytest.approx(sum(values) / 6)  # Eq. 2


def head(views="images", dropout=0.3, noise=0.2) -> WeaklySupervisedContrastive:
    wcl = WeaklySupervisedContrastive(
        5, 4, 3, views=views, augment_dropout=dropout, augment_noise=noise
    )
    return randomise(wcl.double())


def pooled_of(num_studies: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_studies, 2, 5, generator=generator, dtype=torch.float64)


def literal_embeddings(wcl: WeaklySupervisedContrastive, rows: list[Tensor]) -> list[Tensor]:
    """Eqs. 17-18 of all rows of both views together, with the batch norms' training statistics."""
    F_ = wcl.encoder[0]
    x = [(F_.weight @ b + F_.bias).clamp(min=0) for b in rows]  # Eq. 17
    for first in (0, 3, 6):  # linear, batch norm (, ReLU)
        x = [wcl.projection[first].weight @ row for row in x]
        norm = wcl.projection[first + 1]
        mean = sum(x) / len(x)
        variance = sum((row - mean) ** 2 for row in x) / len(x)
        x = [(row - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias for row in x]
        if first < 6:
            x = [row.clamp(min=0) for row in x]
    return [row / row.square().sum().sqrt() for row in x]


def test_embeddings_are_equations_17_and_18_of_the_two_images():
    wcl, pooled = head().train(), pooled_of(4)
    literal = literal_embeddings(wcl, [*pooled[:, 0], *pooled[:, 1]])
    p = wcl(pooled)
    assert torch.allclose(p[0], torch.stack(literal[:4]))
    assert torch.allclose(p[1], torch.stack(literal[4:]))
    assert torch.allclose(p.norm(dim=-1), torch.ones(2, 4, dtype=torch.float64))


def test_augmented_views_are_two_of_the_first_image_alone():
    wcl, pooled = head("augment").train(), pooled_of(4)
    torch.manual_seed(0)
    seen = [wcl.augment(pooled[:, 0]), wcl.augment(pooled[:, 0])]  # θ1, θ2 (Eq. 16)
    torch.manual_seed(0)
    p = wcl(torch.cat([pooled[:, :1], torch.full_like(pooled[:, 1:], math.nan)], dim=1))
    literal = literal_embeddings(wcl, [*seen[0], *seen[1]])
    assert torch.allclose(p, torch.stack(literal).view(2, 4, 3))
    assert not torch.isclose(seen[0], seen[1]).all()


@pytest.mark.parametrize("training", [True, False])
def test_augmenting_drops_features_and_adds_noise(training):
    wcl = head("augment", dropout=0.25, noise=0.5).train(training)
    torch.manual_seed(0)
    view = wcl.augment(torch.full((200, 500), 30.0))
    dropped = view < 20  # the rest is 30 / 0.75
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.01)
    for part, level in ((view[dropped], 0), (view[~dropped], 40)):
        assert part.mean().item() == pytest.approx(level, abs=0.02)
        assert part.std().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("views", ["images", "augment"])
@pytest.mark.parametrize("pooled", [pooled_of(1), torch.ones(1, 2, 5), torch.zeros(4, 2, 5)],
                         ids=["one study", "one study, one image", "no features"])  # fmt: skip
def test_the_head_trains_on_the_poorest_batches(views, pooled):
    wcl = head(views, dropout=0.0, noise=0.0).train()
    loss = contrastive_loss(wcl(pooled.double()), tau=0.1, denominator="negatives")
    loss.backward()
    assert loss.item() == 0.0
    assert all(parameter.grad.isfinite().all() for parameter in wcl.parameters())
