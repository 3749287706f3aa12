"""Cross-modal gated memory, CGM (§3.3, Eqs. 8-15). The release calls the gate ContextAwareBiGate.

One memory and one set of weights serve both modalities. Two readings of the paper:
- Eq. 14 prints softmax(M W_c) with the memory itself; only the memory's response has one row a
  position, so that is what the softmax runs over.
- For text it runs over the words so far, never over those to come: over all positions, as in the
  release, a word would see its successors in training and not when generating.

The memory's keys and values depend on no input: `read` projects them once, and every position of
every study asks the same ones.

Shapes: B studies, K beams, L positions, d model width, N slots, h heads, d_k = d / h.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

Slots = tuple[Tensor, Tensor]


@dataclass
class GateState:
    """Eq. 14 so far as an online softmax over the words of each beam, the new word last.

    Nothing is kept of single words, so that a word costs the same at every place.
    """

    maximum: Tensor  # (B, K, 1)
    sums: Tensor  # (B, K, d + 1): the weighted sum of G_o, then that of 1

    def add(self, a: Tensor, terms: Tensor) -> None:
        """One more word of each beam: its score a (B, K, 1), and G_o and 1 (B, K, d + 1)."""
        maximum = torch.maximum(self.maximum, a)
        self.sums = self.sums * (self.maximum - maximum).exp() + (a - maximum).exp() * terms
        self.maximum = maximum

    def average(self) -> Tensor:
        """Eq. 14's mean of G_o, (B, K, d)."""
        return self.sums[..., :-1] / self.sums[..., -1:]

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from its beam `beams[b, k]`."""
        beams = beams.unsqueeze(-1)
        self.maximum = self.maximum.gather(1, beams)
        self.sums = self.sums.gather(1, beams.expand(-1, -1, self.sums.shape[-1]))

    def keep(self, studies: Tensor) -> None:
        """Go on with these studies alone."""
        self.maximum, self.sums = self.maximum[studies], self.sums[studies]


class CrossModalGatedMemory(nn.Module):
    """CGM: x becomes x + G_c (or, for text under `fusion: replace`, G_c alone).

    `gate`: `gated` (Eq. 15) or `response` (R in the place of G_c: R2GenCMN's memory).
    `top_k`: slots that each query reads; None for all, as printed.
    """

    def __init__(
        self, d_model: int, *, num_slots: int, num_heads: int,
        top_k: int | None, gate: str, fusion: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_heads, self.top_k = num_heads, top_k
        self.gated, self.replace = gate == "gated", fusion == "replace"
        self.memory = nn.Parameter(torch.randn(num_slots, d_model) / d_model)
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(d_model, d_model) for _ in range(4))
        if self.gated:
            self.W_1 = nn.Linear(d_model, d_model)
            self.W_2 = nn.Linear(d_model, d_model)
            self.W_c = nn.Linear(d_model, 1, bias=False)

    def read(self) -> Slots:
        """Keys and values of all slots, (h, N, d_k) each: once per forward pass."""
        return self._heads(self.W_k(self.memory)), self._heads(self.W_v(self.memory))  # 9, 9b

    def forward(self, x: Tensor, slots: Slots, *, text: bool) -> Tensor:
        """x (B, L, d) -> the same shape; `text` makes the gate causal."""
        G_c = R = self.response(x, slots)
        if self.gated:
            G_s, G_o, a = self._gates(x, R)
            if text:
                L = x.shape[1]
                future = torch.ones(L, L, dtype=torch.bool, device=x.device).triu(1)
                scores = a.transpose(1, 2).expand(-1, L, L).masked_fill(future, float("-inf"))
                G_i = scores.softmax(-1) @ G_o  # Eq. 14 over s <= t, (B, L, d)
            else:
                G_i = a.softmax(1).transpose(1, 2) @ G_o  # Eq. 14 over all patches, (B, 1, d)
            G_c = G_s + G_i  # Eq. 15, (B, L, d)
        return self._fuse(x, G_c, text)

    def describe(self, x: Tensor, slots: Slots) -> Tensor:
        """All that CGM makes of words x (n, d) without their report: (n, w) rows for `step`.

        With gates w = 2d + 2: x + G_s or G_s alone (d), G_o (d), 1, a; without them w = d: the end.
        """
        G_c = R = self.response(x, slots)
        if not self.gated:
            return self._fuse(x, G_c, text=True)
        G_s, G_o, a = self._gates(x, R)
        return torch.cat([self._fuse(x, G_s, text=True), G_o, torch.ones_like(a), a], -1)

    def start(self, num_studies: int, num_beams: int) -> GateState | None:
        """The gate's state before the first word."""
        if not self.gated:
            return None
        like, d_model = self.memory, self.memory.shape[1]
        return GateState(
            like.new_full((num_studies, num_beams, 1), float("-inf")),
            like.new_zeros(num_studies, num_beams, d_model + 1),
        )

    def step(self, described: Tensor, state: GateState | None) -> Tensor:
        """One more word of each beam, `described` (B, K, w) -> (B, K, d); `state` takes it in."""
        if state is None:
            return described
        d_model = self.memory.shape[1]
        own, terms, a = described.tensor_split((d_model, 2 * d_model + 1), -1)
        state.add(a, terms)
        return own + state.average()

    def response(self, x: Tensor, slots: Slots) -> Tensor:
        """R (Eqs. 8, 10, 9b, 10b): what the memory answers to each position; shape of x."""
        keys, values = slots
        q = self._heads(self.W_q(x).flatten(0, -2))  # (h, B·L, d_k)
        if self.top_k is None:
            R = F.scaled_dot_product_attention(q[None], keys[None], values[None])[0]
        else:
            best, slots_read = _BestScores.apply(q * q.shape[-1] ** -0.5, keys, self.top_k)
            R = _weighted_rows(slots_read, best.softmax(-1), values)
        answer: Tensor = self.W_o(R.transpose(0, 1).reshape(x.shape))
        return answer

    def _gates(self, x: Tensor, R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        G_s = self.W_1(x).sigmoid() * x  # Eq. 12, state gate
        G_o = self.W_2(x).sigmoid() * x  # Eq. 13
        return G_s, G_o, self.W_c(R)  # a of Eq. 14, (..., 1)

    def _fuse(self, x: Tensor, G_c: Tensor, text: bool) -> Tensor:
        return G_c if text and self.replace else x + G_c  # Eqs. 20, 21

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1)).transpose(0, 1)
        return heads  # (rows, d) -> (h, rows, d_k)


class _BestScores(torch.autograd.Function):
    """The `k` highest scores q·key of each query and whose they are: (h, R, k) each.

    Its gradient touches these k alone, where autograd would fill all (h, R, N) and multiply them.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, q: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
        if q.device.type == "cpu":  # a head at a time: less memory, and no slower
            of_heads = [(q_h @ keys_h.T).topk(k) for q_h, keys_h in zip(q, keys, strict=True)]
            best, rows = map(torch.stack, zip(*of_heads, strict=True))
        else:
            best, rows = (q @ keys.transpose(1, 2)).topk(k)
        ctx.save_for_backward(q, keys, rows)
        ctx.mark_non_differentiable(rows)
        return best, rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_best: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None]:
        q, keys, rows = ctx.saved_tensors
        with torch.enable_grad():
            keys = keys.detach().requires_grad_()
            d_q = _weighted_rows(rows, d_best, keys)
            (d_keys,) = torch.autograd.grad(d_q, keys, q)  # Σ d_best q, each to its key
        return d_q.detach(), d_keys, None


def _weighted_rows(rows: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    """Of each head's table (h, N, d_k) the weighted sum of `rows` (h, R, k): (h, R, d_k).

    As one bag of rows a query: the sparse product, forwards and backwards.
    """
    h, N, d_k = table.shape
    first = torch.arange(h, device=rows.device).view(h, 1, 1) * N
    precise = torch.promote_types(table.dtype, torch.float32)  # a half would round every sum
    bags = F.embedding_bag(
        (rows + first).flatten(0, 1), table.reshape(h * N, d_k).to(precise),
        per_sample_weights=weights.flatten(0, 1).to(precise), mode="sum",
    )  # fmt: skip
    return bags.view(h, -1, d_k).to(table.dtype)


class NoMemory(nn.Module):
    """CGM off: everything passes through."""

    def read(self) -> None:
        return None

    def forward(self, x: Tensor, slots: Slots | None, *, text: bool) -> Tensor:
        return x

    def describe(self, x: Tensor, slots: Slots | None) -> Tensor:
        return x

    def start(self, num_studies: int, num_beams: int) -> None:
        return None

    def step(self, described: Tensor, state: GateState | None) -> Tensor:
        return described
