"""Att2in (Rennie et al., CVPR 2017, 1612.00563): what is looked at enters an LSTM's input alone.

α = softmax wᵀ tanh(W_a a_i + W_q h_{t-1}); z = Σ α_i a_i; gates i, f, o from x = E y_t and h_{t-1}
only; u = W x + W_h h_{t-1} + W_z z, 2·d wide; c_t = f ⊙ c_{t-1} + i ⊙ max(u¹, u²);
h_t = o ⊙ tanh c_t; p_t = softmax(W_o h_t + b). h and c start as zeros. Trained on words, and then,
by `reward.share`, on the score of whole reports (`rcan.training.policy_gradient`).

Left out: the fine-tuned CNN, ensembles. `att2in.words: relu` is self-critical.pytorch's Att2in2.

Shapes: B studies, K beams, S patches, d model width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.att2in import Config
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import CellOutput, RecurrentModel, lstm


class Memory(NamedTuple):
    """(B, K, d) each."""

    h: Tensor
    c: Tensor


class Seen(NamedTuple):
    """(B, S, d) each."""

    a: Tensor
    keys: Tensor


class Att2in(RecurrentModel[Memory, Seen]):
    def __init__(self, settings: Settings, vocabulary_size: int, *, pretrained: bool) -> None:
        super().__init__(settings, vocabulary_size, pretrained=pretrained)
        config = settings.family
        assert isinstance(config, Config)
        d = settings.model.d_model
        self.around = (2 * d, d)  # the gates that z does not reach: i and f, o
        self.relu = config.att2in.words == "relu"
        self.attend = AdditiveAttention(d, d, d)
        self.input = nn.Linear(d, 5 * d)  # W, its gates in the order of `lstm`
        self.recurrent = nn.Linear(d, 5 * d, bias=False)  # W_h
        self.context = nn.Linear(d, 2 * d, bias=False)  # W_z

    def look(self, patches: Tensor) -> tuple[Memory, Seen]:
        zeros = torch.zeros_like(patches[:, :1])
        return Memory(zeros, zeros), Seen(patches, self.attend.key(patches))

    def read(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens)
        gates: Tensor = self.input(self.dropout(x.relu()) if self.relu else x)
        return gates

    def cell(self, word: Tensor, memory: Memory, seen: Seen) -> tuple[CellOutput, Memory]:
        z, weights = self.attend(memory.h, seen.a, seen.keys)
        gates = word + self.recurrent(memory.h) + F.pad(self.context(z), self.around)
        h, c = lstm(gates, memory.c)
        return CellOutput(h, weights), Memory(h, c)


build = Att2in
