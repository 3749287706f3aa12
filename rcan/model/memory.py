"""Cross-modal gated memory, CGM (§3.3, Eqs. 8-15). The release calls the gate ContextAwareBiGate.

One memory and one set of weights serve both modalities. Two readings of the paper:
- Eq. 14 prints softmax(M W_c) with the memory itself; only the memory's response has one row a
  position, so that is what the softmax runs over.
- For text it runs over the words so far, never over those to come: over all positions, as in the
  release, a word would see its successors in training and not when generating.

The memory's keys and values depend on no input: `read` projects them once, and every position of
every study asks the same ones.

Shapes: B rows, L positions, d model width, N slots, h heads, d_k = d / h.
"""

from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Slots = tuple[Tensor, Tensor]


@dataclass
class GateState:
    """Eq. 14 so far as an online softmax: its maximum, denominator and weighted sum of G_o."""

    maximum: Tensor  # (B, 1)
    denominator: Tensor  # (B, 1)
    weighted_sum: Tensor  # (B, d)

    @classmethod
    def empty(cls, rows: int, d_model: int, like: Tensor) -> "GateState":
        return cls(
            like.new_full((rows, 1), float("-inf")),
            like.new_zeros(rows, 1),
            like.new_zeros(rows, d_model),
        )

    def reorder(self, rows: Tensor) -> "GateState":
        """The state of rows `rows` (B,), in that order."""
        return GateState(self.maximum[rows], self.denominator[rows], self.weighted_sum[rows])


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

    def start(self, rows: int) -> GateState:
        """The gate's state before the first word of `rows` reports."""
        return GateState.empty(rows, self.memory.shape[1], self.memory)

    def step(self, x: Tensor, slots: Slots, state: GateState) -> tuple[Tensor, GateState]:
        """One more word of each report, x (B, d), at a cost that does not grow with its place."""
        G_c = R = self.response(x, slots)
        if self.gated:
            G_s, G_o, a = self._gates(x, R)
            maximum = torch.maximum(state.maximum, a)
            old, new = (state.maximum - maximum).exp(), (a - maximum).exp()
            state = GateState(
                maximum, state.denominator * old + new, state.weighted_sum * old + new * G_o
            )
            G_c = G_s + state.weighted_sum / state.denominator
        return self._fuse(x, G_c, text=True), state

    def response(self, x: Tensor, slots: Slots) -> Tensor:
        """R (Eqs. 8, 10, 9b, 10b): what the memory answers to each position; shape of x."""
        keys, values = slots
        q = self._heads(self.W_q(x).flatten(0, -2))  # (h, B·L, d_k)
        if self.top_k is None:
            R = F.scaled_dot_product_attention(q[None], keys[None], values[None])[0]
        else:
            scores = q @ keys.transpose(1, 2) / sqrt(q.shape[-1])  # (h, B·L, N)
            best, slots_read = scores.topk(self.top_k, dim=-1)
            shares = best.softmax(-1).to(scores.dtype)  # autocast gives it in float32
            weights = torch.zeros_like(scores).scatter(-1, slots_read, shares)
            R = weights @ values
        return self.W_o(R.transpose(0, 1).reshape(x.shape))

    def _gates(self, x: Tensor, R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        G_s = self.W_1(x).sigmoid() * x  # Eq. 12, state gate
        G_o = self.W_2(x).sigmoid() * x  # Eq. 13
        return G_s, G_o, self.W_c(R)  # a of Eq. 14, (..., 1)

    def _fuse(self, x: Tensor, G_c: Tensor, text: bool) -> Tensor:
        return G_c if text and self.replace else x + G_c  # Eqs. 20, 21

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(0, 1)  # (rows, d) -> (h, rows, d_k)


class NoMemory(nn.Module):
    """CGM off: everything passes through."""

    def read(self) -> None:
        return None

    def forward(self, x: Tensor, slots: None, *, text: bool) -> Tensor:
        return x

    def start(self, rows: int) -> "NoState":
        return NoState()

    def step(self, x: Tensor, slots: None, state: "NoState") -> tuple[Tensor, "NoState"]:
        return x, state


class NoState:
    """The state of a memory that is off."""

    def reorder(self, rows: Tensor) -> "NoState":
        return self
