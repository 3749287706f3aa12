"""R2Gen's relational memory (§2.2, Eqs. 6-10): what was read so far, in n rows.

Z = MHA(M W_q, [M; y] W_k, [M; y] W_v)               (6)
M̃ = f(Z + M) + Z + M                                 (7)
G^i, G^f = y W + tanh(M) U                           (8-9)
M_t = σ(G^f) ⊙ M + σ(G^i) ⊙ tanh(M̃)                  (10)

M is M_{t-1} and y the word read at t, f two linears with a ReLU after each, as in the authors'
code. What depends on words alone is worked out ahead of the loop over them, and the gradients of
weights after the loop back, each as one product over all words. When generating, what depends on
the words so far alone is worked out once for all reports that begin with them.

Shapes: R rows (reports, or beams), T words, n slots, d model width, h heads, d_k = d / h.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from rcan.model.layers.conditional import Memory
from rcan.model.layers.dropout import Dropout


class Weights(NamedTuple):
    """All that a step multiplies the memory by."""

    qkv: Tensor  # (3d, d): W_q, W_k, W_v, one below the other
    qkv_bias: Tensor
    output: Tensor  # (d, d), behind the heads
    output_bias: Tensor
    inner: Tensor  # (d, d), f's
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor
    gates: Tensor  # (2d, d): U


class Prepared(NamedTuple):
    """What all words share when generating."""

    weights: Weights
    of_words: tuple[Tensor, Tensor]  # by `RelationalMemory.word_layer`


@dataclass
class Texts:
    """The memory after each of the texts that the beams of all studies have written."""

    M: Tensor  # (R, n, d), a row for each different one
    number: Tensor  # (B, K): of which of them each beam has written
    prepared: Prepared

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from its beam `beams[b, k]`."""
        self.number = self.number.gather(1, beams)

    def keep(self, studies: Tensor) -> None:
        """Go on with these studies alone."""
        self.number = self.number[studies]


class RelationalMemory(Memory):
    """`learned`: whether M_0, the first n rows of the identity, is trained."""

    start: Tensor  # (n, d)

    def __init__(
        self, d_model: int, *, num_slots: int, num_heads: int, dropout: float, learned: bool
    ) -> None:
        super().__init__()
        self.num_heads, self.width = num_heads, num_slots * d_model
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)
        self.inner = nn.Linear(d_model, d_model)
        self.outer = nn.Linear(d_model, d_model)
        self.word_gates = nn.Linear(d_model, 2 * d_model)  # W
        self.memory_gates = nn.Linear(d_model, 2 * d_model)  # U
        self.dropout = Dropout(dropout)
        start = torch.eye(num_slots, d_model)
        if learned:
            self.start = nn.Parameter(start)
        else:
            self.register_buffer("start", start, persistent=False)
        of_three = self.qkv.weight.chunk(3)
        others = (self.output, self.inner, self.outer, self.word_gates, self.memory_gates)
        for weight in (*of_three, *(layer.weight for layer in others)):
            nn.init.xavier_uniform_(weight)

    def forward(self, y: Tensor) -> Tensor:
        """m_t after each of the words y (B, T, d): (B, T, n·d)."""
        with torch.autocast(y.device.type, enabled=False):  # rounding would add up over a report
            B, T, _ = y.shape
            words = self.words(y)
            n, d = self.start.shape
            kept = self.dropout(words.new_ones(T, B, self.num_heads, n, n + 1))
            memory: Tensor = _Loop.apply(
                words.transpose(0, 1), self.start.expand(B, n, d), kept, *self.weights()
            )
            return memory.transpose(0, 1).flatten(2)

    def words(self, y: Tensor) -> Tensor:
        """What a step adds of words alone, y (..., d) -> (..., 4d): W_k y, W_v y, W y + biases."""
        return linear(y, *self.word_layer())

    def word_layer(self) -> tuple[Tensor, Tensor]:
        """Weight (4d, d) and bias of `words`."""
        d, gates = self.start.shape[1], self.word_gates
        weight = torch.cat([self.qkv.weight[d:], gates.weight])
        return weight, torch.cat([self.qkv.bias[d:], gates.bias + self.memory_gates.bias])

    def prepare(self) -> Prepared:
        return Prepared(self.weights(), self.word_layer())

    def before(
        self, num_studies: int, num_beams: int, max_length: int, prepared: Prepared
    ) -> Texts:
        none = torch.zeros(num_studies, num_beams, dtype=torch.long, device=self.start.device)
        return Texts(self.start.unsqueeze(0), none, prepared)

    def step(self, tokens: Tensor, y: Tensor, state: Texts, mask: Tensor) -> tuple[Tensor, Tensor]:
        """m_t of the R different texts, (1, R, n·d), and which of them each beam has written."""
        longer = state.number * 2**32 + tokens  # a text and the word after it
        different, number = longer.unique(return_inverse=True)
        beam = number.new_empty(len(different))  # one that has written it
        beam[number.flatten()] = torch.arange(number.numel(), device=number.device)
        words = linear(y.flatten(0, 1)[beam], *state.prepared.of_words)
        M = state.M[state.number.flatten()[beam]]
        state.M, _ = _step(words, M, state.prepared.weights, self.num_heads)
        state.number = number
        return state.M.flatten(1).unsqueeze(0), number

    def weights(self) -> Weights:
        qkv, output, inner, outer = self.qkv, self.output, self.inner, self.outer
        return Weights(
            qkv.weight, qkv.bias, output.weight, output.bias, inner.weight, inner.bias,
            outer.weight, outer.bias, self.memory_gates.weight,
        )  # fmt: skip


class _Kept(NamedTuple):
    """What the way back through a step needs."""

    M: Tensor
    squashed: Tensor  # tanh(M)
    q: Tensor  # (R, h, n, d_k)
    k: Tensor  # (R, h, n + 1, d_k)
    v: Tensor
    shares: Tensor  # (R, h, n, n + 1)
    Z: Tensor  # before the output projection
    X: Tensor  # Z + M of Eq. 7
    inner: Tensor
    outer: Tensor
    new: Tensor  # tanh(M̃)
    gates: Tensor  # (R, n, 2d)


def _step(
    words: Tensor, M: Tensor, w: Weights, num_heads: int, kept: Tensor | None = None
) -> tuple[Tensor, _Kept]:
    """words (R, 4d), M (R, n, d) -> M of the next word; `kept`: factors of dropout."""
    d = M.shape[2]
    k_y, v_y, gates_y = words.unsqueeze(1).split((d, d, 2 * d), -1)
    q, k, v = linear(M, w.qkv, w.qkv_bias).chunk(3, -1)
    q = _heads(q, num_heads)
    k, v = (_heads(torch.cat(x, 1), num_heads) for x in ((k, k_y), (v, v_y)))
    shares = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    Z = ((shares if kept is None else shares * kept) @ v).transpose(1, 2).flatten(2)
    X = M + linear(Z, w.output, w.output_bias)
    inner = linear(X, w.inner, w.inner_bias).relu()
    outer = linear(inner, w.outer, w.outer_bias).relu()
    new, squashed = (X + outer).tanh(), M.tanh()
    gates = (gates_y + linear(squashed, w.gates)).sigmoid()
    i, f = gates.chunk(2, -1)
    return i * new + f * M, _Kept(M, squashed, q, k, v, shares, Z, X, inner, outer, new, gates)


def _heads(x: Tensor, num_heads: int) -> Tensor:
    heads: Tensor = x.unflatten(-1, (num_heads, -1)).transpose(1, 2)
    return heads


class _Loop(torch.autograd.Function):
    """`_step` over words (T, R, 4d) from M_0 (R, n, d): M after each, (T, R, n, d)."""

    @staticmethod
    def forward(ctx: Any, words: Tensor, M: Tensor, kept: Tensor, *weights: Tensor) -> Tensor:
        w, steps, memories = Weights(*weights), [], []
        for of_word, factors in zip(words, kept, strict=True):
            M, step = _step(of_word, M, w, kept.shape[2], factors)
            steps.append(step)
            memories.append(M)
        ctx.steps, ctx.num_heads = steps, kept.shape[2]
        ctx.save_for_backward(kept, *weights)
        return torch.stack(memories)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_memories: Tensor) -> tuple[Tensor | None, ...]:
        kept, *weights = ctx.saved_tensors
        w, d_M = Weights(*weights), torch.zeros_like(d_memories[0])
        told = []
        for d_out, step, factors in zip(
            reversed(d_memories), reversed(ctx.steps), reversed(kept), strict=True
        ):
            d_M, *of_step = _step_back(d_out + d_M, step, w, factors)
            told.append(of_step)
        d_words, *of_layers = map(torch.stack, zip(*reversed(told), strict=True))
        of_steps = ((s.M, s.Z, s.X, s.inner, s.squashed) for s in ctx.steps)
        read = map(torch.stack, zip(*of_steps, strict=True))
        gradients = []
        for d_y, x in zip(of_layers, read, strict=True):
            d_y, x = d_y.flatten(0, 2), x.flatten(0, 2)
            gradients += [d_y.T @ x, d_y.sum(0)]
        return d_words, d_M, None, *gradients[:-1]


def _step_back(d_new_M: Tensor, s: _Kept, w: Weights, factors: Tensor) -> tuple[Tensor, ...]:
    """Gradient of what `_step` gave -> those of M, of words, and of what each layer gave."""
    i, f = s.gates.chunk(2, -1)
    d_gates = torch.cat([d_new_M * s.new, d_new_M * s.M], -1) * s.gates * (1 - s.gates)
    d_outer = d_new_M * i * (1 - s.new * s.new)  # of M̃ too
    d_X = d_outer
    d_outer = d_outer * (s.outer > 0)
    d_inner = d_outer @ w.outer * (s.inner > 0)
    d_X = d_X + d_inner @ w.inner
    d_Z = _heads(d_X @ w.output, s.q.shape[1])
    d_v = (s.shares * factors).transpose(-1, -2) @ d_Z
    d_shares = d_Z @ s.v.transpose(-1, -2) * factors
    d_scores = s.shares * (d_shares - (d_shares * s.shares).sum(-1, keepdim=True))
    d_scores = d_scores * s.q.shape[-1] ** -0.5
    d_q, d_k = d_scores @ s.k, d_scores.transpose(-1, -2) @ s.q
    d_q, d_k, d_v = (x.transpose(1, 2).flatten(2) for x in (d_q, d_k, d_v))  # (R, n or n + 1, d)
    d_qkv = torch.cat([d_q, d_k[:, :-1], d_v[:, :-1]], -1)
    d_M = d_new_M * f + d_X + d_qkv @ w.qkv + (d_gates @ w.gates) * (1 - s.squashed * s.squashed)
    d_words = torch.cat([d_k[:, -1], d_v[:, -1], d_gates.sum(1)], -1)
    return d_M, d_words, d_qkv, d_X, d_inner, d_outer, d_gates
