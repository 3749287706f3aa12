"""SA&T, *Show, attend and tell*, soft attention (Xu et al., 1502.03044, §3.1, 4.2-4.3).

e_i = wᵀ tanh(P(a_i) + W_h h_{t-1}); α = softmax(e); β = σ(w_βᵀ h_{t-1} + b_β), one number (§4.2.1);
z = β Σ_i α_i a_i; (h, c)_t = LSTM([E y_{t-1}; z]; (h, c)_{t-1}); p = softmax of
L_o tanh(E y_{t-1} + L_h h_t + L_z z) (Eq. 7). Before the first word r = ReLU(W_r ā),
h_0 = tanh(W r), c_0 = tanh(W' r).

The loss adds λ Σ_i (1 - Σ_t α_ti)² a report (Eq. 14). The paper sums over words; here
cross-entropy is a mean over words, so λ is divided by the words of a report, on average.

By arctic-captions' code: P is tanh of two layers (`sat.deep_attention`), the tanh before L_o
(`sat.output_tanh`), W_r. Left out: hard attention, batches of reports of one length alone.

Shapes: B studies, K beams, S patches, T words, d model width, D of the LSTM, w = 4·D + d.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.sat import Config
from rcan.model.interface import Batch, Output, Together, cross_entropy
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import CellOutput, RecurrentModel, lstm


class Memory(NamedTuple):
    """(B, K, D) each."""

    h: Tensor
    c: Tensor


class Seen(NamedTuple):
    """(B, S, d) each."""

    a: Tensor
    keys: Tensor


class SAT(RecurrentModel[Memory, Seen]):
    """`input`, `recurrent`: the LSTM's weights of words, and of h and z; `output`: L_h and L_z."""

    def __init__(self, settings: Settings, vocabulary_size: int, *, pretrained: bool) -> None:
        super().__init__(settings, vocabulary_size, pretrained=pretrained)
        config = settings.family
        assert isinstance(config, Config)
        self.sat, d, D = config.sat, settings.model.d_model, config.sat.d_hidden
        self.mean = nn.Sequential(nn.Linear(d, d), nn.ReLU(), self.dropout)
        self.start_h, self.start_c = nn.Linear(d, D), nn.Linear(d, D)
        self.attend = AdditiveAttention(d, D, d)
        self.deep = nn.Linear(d, d) if self.sat.deep_attention else None
        self.select = nn.Linear(D, 1)
        self.input = nn.Linear(d, 4 * D)
        self.recurrent = nn.Linear(D + d, 4 * D, bias=False)
        self.output_h, self.output_z = nn.Linear(D, d), nn.Linear(d, d, bias=False)

    def look(self, patches: Tensor) -> tuple[Memory, Seen]:
        r = self.mean(patches.mean(1, keepdim=True))  # (B, 1, d)
        keys = self.attend.key(patches)
        if self.deep is not None:
            keys = self.deep(keys).tanh()
        return Memory(self.start_h(r).tanh(), self.start_c(r).tanh()), Seen(patches, keys)

    def read(self, tokens: Tensor) -> Tensor:
        y = self.words(tokens)
        return torch.cat([self.input(y), y], -1)

    def cell(self, word: Tensor, memory: Memory, seen: Seen) -> tuple[CellOutput, Memory]:
        z, weights = self.attend(memory.h, *seen)
        z = self.select(memory.h).sigmoid() * z
        gates = word[..., : self.input.out_features]
        h, c = lstm(gates + self.recurrent(torch.cat([memory.h, z], -1)), memory.c)
        return CellOutput(torch.cat([h, z], -1), weights), Memory(h, c)

    def tell(self, words: Tensor, output: CellOutput, seen: Seen) -> tuple[Tensor, Tensor | None]:
        D, d = self.output_h.in_features, self.output_z.in_features
        h, z = output.hidden.split([D, d], -1)
        n = words[..., -d:] + self.output_h(self.dropout(h)) + self.output_z(z)
        if self.sat.output_tanh:
            n = n.tanh()
        return self.classifier(self.dropout(n)), output.attention

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss_ce` and `loss_attention`: λ times the second of Eq. 14's terms, by word."""
        loss_ce = cross_entropy(output, batch, together)
        targets = batch.tokens[:, 1:]
        scored = self.scored(batch)  # (B, T)
        missed = 1 - (output.parts["attention"] * scored.unsqueeze(-1)).sum(1)  # (B, S)
        loss_attention = self.sat.lambda_attention * missed.square().sum() / scored.sum()
        loss_attention = loss_attention * together.share_of_tokens(targets, batch.pad_id)
        return {
            "loss": loss_ce + loss_attention,
            "loss_ce": loss_ce.detach(), "loss_attention": loss_attention.detach(),
        }  # fmt: skip


build = SAT
