"""The gated memory against Eqs. 8-15 written out as loops; its gate word by word."""

import math

import pytest
import torch
from model_parts import randomise
from torch import Tensor

from rcan.model.families.rcan.memory import CrossModalGatedMemory, NoMemory

d, HEADS, SLOTS = 6, 2, 7


def memory(top_k=None, gate="gated", fusion="add", seed=0) -> CrossModalGatedMemory:
    cgm = CrossModalGatedMemory(
        d, num_slots=SLOTS, num_heads=HEADS, top_k=top_k, gate=gate, fusion=fusion
    )
    return randomise(cgm.double(), seed)


def inputs(rows=3, length=5, seed=1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, d, generator=generator, dtype=torch.float64)


def affine(linear, x: Tensor) -> Tensor:
    return linear.weight @ x + linear.bias


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(s - max(scores)) for s in scores]
    return [p / sum(powers) for p in powers]


def literal_response(cgm: CrossModalGatedMemory, x: Tensor, top_k: int | None) -> Tensor:
    """R of one position (d,): Eqs. 8, 9, 10 and 9b, 10b, head by head and slot by slot."""
    q = affine(cgm.W_q, x)  # Eq. 8 (text), Eq. 10 (images)
    keys = [affine(cgm.W_k, m) for m in cgm.memory]  # Eq. 9
    values = [affine(cgm.W_v, m) for m in cgm.memory]
    d_k = d // HEADS
    answers = []
    for head in range(HEADS):
        part = slice(head * d_k, (head + 1) * d_k)
        scores = [(q[part] @ k[part]).item() / math.sqrt(d_k) for k in keys]
        read = sorted(range(SLOTS), key=lambda n: -scores[n])[: top_k or SLOTS]
        weights = softmax([scores[n] for n in read])
        answers.append(sum(w * values[n][part] for w, n in zip(weights, read, strict=True)))
    return affine(cgm.W_o, torch.cat(answers))


def literal_cgm(cgm, x: Tensor, *, text: bool, top_k=None, gate="gated", fusion="add") -> Tensor:
    """Eqs. 12-15 and what the encoder (Eq. 20) or the decoder (Eq. 21) is given; x (B, L, d)."""
    out = torch.empty_like(x)
    for b, row in enumerate(x):
        R = [literal_response(cgm, position, top_k) for position in row]
        for t, x_t in enumerate(row):
            if gate == "response":
                G_c = R[t]
            else:
                seen = range(t + 1) if text else range(len(row))
                G_s = affine(cgm.W_1, x_t).sigmoid() * x_t  # Eq. 12
                G_o = [affine(cgm.W_2, row[s]).sigmoid() * row[s] for s in seen]  # Eq. 13
                attention = softmax([(cgm.W_c.weight[0] @ R[s]).item() for s in seen])
                G_i = sum(a * g for a, g in zip(attention, G_o, strict=True))  # Eq. 14
                G_c = G_s + G_i  # Eq. 15
            out[b, t] = G_c if text and fusion == "replace" else x_t + G_c
    return out


OPTIONS = [
    {},
    {"top_k": 3},
    {"top_k": 1},
    {"fusion": "replace"},
    {"gate": "response"},
    {"gate": "response", "top_k": 2, "fusion": "replace"},
]


def words(options: dict) -> str:
    return " ".join(f"{k}={v}" for k, v in options.items()) or "default"


@pytest.mark.parametrize("options", OPTIONS, ids=words)
@pytest.mark.parametrize("text", [True, False], ids=["text", "images"])
@torch.no_grad()
def test_the_memory_is_equations_8_to_15(options, text):
    cgm, x = memory(**options), inputs()
    expected = literal_cgm(cgm, x, text=text, **options)
    assert torch.allclose(cgm(x, cgm.read(), text=text), expected)


def next_word(cgm, x: Tensor, state) -> Tensor:
    """One word of each beam, x (B, K, d), as a search gives it."""
    return cgm.step(cgm.describe(x.flatten(0, 1), cgm.read()).unflatten(0, x.shape[:2]), state)


@pytest.mark.parametrize("options", OPTIONS, ids=words)
@torch.no_grad()
def test_word_by_word_gives_what_the_whole_text_gives(options):
    cgm, x = memory(**options), inputs(length=9)
    whole, state = cgm(x, cgm.read(), text=True), cgm.start(len(x), 1)
    for t in range(9):
        assert torch.allclose(next_word(cgm, x[:, t : t + 1], state), whole[:, t : t + 1])


@torch.no_grad()
def test_the_gates_state_follows_its_beams_and_studies_and_does_not_grow():
    cgm, x = memory(), inputs(rows=6, length=6).unflatten(0, (3, 2))  # (study, beam, word, d)
    slots, state, text = cgm.read(), cgm.start(3, 2), x[:, :, :0]
    for t in range(6):
        y = next_word(cgm, x[:, :, t], state)
        text = torch.cat([text, x[:, :, t : t + 1]], dim=2)
        whole = cgm(text.flatten(0, 1), slots, text=True).unflatten(0, text.shape[:2])
        assert torch.allclose(y, whole[:, :, -1])
        assert state.maximum.shape == (*text.shape[:2], 1)
        assert state.sums.shape == (*text.shape[:2], d + 1)
        beams = torch.tensor([[1, 1], [1, 0], [0, 0]][: len(text)])
        state.reorder(beams)
        text = torch.stack([text[study, row] for study, row in enumerate(beams)])
        if t == 3:
            state.keep(torch.tensor([2, 0]))
            text, x = text[[2, 0]], x[[2, 0]]


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_online_softmax_bears_scores_of_ten_thousand(size, dtype):
    cgm, x = memory().to(dtype), inputs(length=12).to(dtype).requires_grad_()
    slots = cgm.read()
    with torch.no_grad():
        largest = cgm.W_c(cgm.response(x, slots)).abs().max()
        cgm.W_c.weight *= size / largest
        scores = cgm.W_c(cgm.response(x, slots)).squeeze(-1)
        assert scores.abs().max() > 9.9e3
        assert (scores.diff() > 88).any() and (scores.diff() < -88).any()  # exp would overflow
    whole, state = cgm(x, slots, text=True), cgm.start(3, 1)
    assert whole.isfinite().all()
    for t in range(12):
        y = next_word(cgm, x[:, t : t + 1], state)
        assert torch.allclose(y, whole[:, t : t + 1], atol=1e-5)
    assert cgm(x, slots, text=False).isfinite().all()
    (gradient,) = torch.autograd.grad(whole.sum() + y.sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("options", OPTIONS, ids=words)
def test_a_word_is_not_touched_by_the_words_after_it(options):
    cgm, x = memory(**options), inputs(length=6)
    changed = x.clone()
    changed[:, 4:] += 3.0
    slots = cgm.read()
    before, after = cgm(x, slots, text=True), cgm(changed, slots, text=True)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4:], after[:, 4:]).all(-1).any()

    x.requires_grad_()
    (gradient,) = torch.autograd.grad(cgm(x, slots, text=True)[:, 3].sum(), x)
    assert (gradient[:, 4:] == 0).all()
    assert (gradient[:, 3] != 0).any()


def test_every_word_before_and_every_patch_reaches_the_gate():
    cgm, x = memory(), inputs(length=6).requires_grad_()
    (of_text,) = torch.autograd.grad(cgm(x, cgm.read(), text=True)[:, 3].sum(), x)
    (of_patches,) = torch.autograd.grad(cgm(x, cgm.read(), text=False)[:, 3].sum(), x)
    assert (of_text[:, :4] != 0).any(-1).all()
    assert (of_patches != 0).any(-1).all()


def test_reading_as_many_slots_as_there_are_is_reading_all():
    x = inputs()
    every, best = memory(top_k=None), memory(top_k=SLOTS)
    assert torch.allclose(every(x, every.read(), text=True), best(x, best.read(), text=True))


@torch.no_grad()
def test_slots_that_are_not_among_the_best_are_not_read():
    cgm, x = memory(top_k=3, gate="response"), inputs(rows=1, length=1)
    keys, values = cgm.read()
    q = cgm._heads(cgm.W_q(x[0]))  # (h, 1, d_k)
    order = (q * keys).sum(-1).argsort(-1, descending=True)  # (h, N)
    before = cgm(x, (keys, values), text=True)
    for head in range(HEADS):
        values[head, order[head, 3:]] += 100
    assert torch.equal(cgm(x, (keys, values), text=True), before)
    values[0, order[0, 2]] += 100
    assert not torch.allclose(cgm(x, (keys, values), text=True), before)


@pytest.mark.parametrize("top_k", [1, 3, SLOTS])
def test_the_sparse_read_has_the_gradients_of_the_dense_one(top_k):
    cgm, x = memory(top_k=top_k, gate="response"), inputs().requires_grad_()
    slots = [part.detach().requires_grad_() for part in cgm.read()]
    weights = [x, *slots, *cgm.W_q.parameters()]

    q = cgm._heads(cgm.W_q(x).flatten(0, -2))
    scores = q @ slots[0].transpose(1, 2) / math.sqrt(d // HEADS)
    unread = torch.ones_like(scores).scatter(-1, scores.topk(top_k).indices, 0.0).bool()
    dense = scores.masked_fill(unread, float("-inf")).softmax(-1) @ slots[1]
    dense = cgm.W_o(dense.transpose(0, 1).reshape(x.shape))

    sparse = cgm.response(x, slots)
    assert torch.allclose(sparse, dense)
    for ours, plain in zip(
        torch.autograd.grad(sparse.sin().sum(), weights, retain_graph=True),
        torch.autograd.grad(dense.sin().sum(), weights),
        strict=True,
    ):
        assert torch.allclose(ours, plain)


def test_the_best_slots_are_read_where_softmax_comes_back_in_another_precision(monkeypatch):
    # Under autocast a GPU multiplies in bfloat16 and gives every softmax in float32.
    cgm, x = memory(top_k=3, gate="response").float(), inputs().float()
    expected = cgm(x, cgm.read(), text=True)
    softmax = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, "softmax", lambda x, dim: softmax(x.float(), dim))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = cgm(x, cgm.read(), text=True)
    assert torch.allclose(ours, expected, atol=0.1)
    learns = [cgm.memory, cgm.W_q.weight, cgm.W_k.weight, cgm.W_v.weight]
    for found, precise in zip(
        torch.autograd.grad(ours.float().sin().sum(), learns),
        torch.autograd.grad(expected.sin().sum(), learns),
        strict=True,
    ):
        assert (found - precise).norm() < 0.1 * precise.norm()


@pytest.mark.parametrize("text", [True, False], ids=["text", "images"])
@pytest.mark.parametrize("gate", ["gated", "response"])
def test_one_memory_learns_from_both_modalities(text, gate):
    cgm = memory(gate=gate)
    cgm(inputs(), cgm.read(), text=text).square().sum().backward()
    assert (cgm.memory.grad != 0).all()  # Eq. 11: every slot is updated by gradient


def test_the_response_alone_has_no_gates():
    names = {name.split(".")[0] for name, _ in memory(gate="response").named_parameters()}
    assert names == {"memory", "W_q", "W_k", "W_v", "W_o"}


def test_switched_off_everything_passes_through():
    cgm, x = NoMemory(), inputs()
    assert torch.equal(next_word(cgm, x[:, :1], cgm.start(3, 1)), x[:, :1])
    assert cgm(x, cgm.read(), text=True) is x and cgm(x, cgm.read(), text=False) is x
    assert not list(cgm.parameters())
