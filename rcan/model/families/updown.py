"""Up-Down (Anderson et al., CVPR 2018, 1707.07998) on the cells of a grid.

h¹_t = LSTM₁([h²_{t-1}; ā; E y_t]); α = softmax wᵀ tanh(W_a a_i + W_q h¹_t); z = Σ α_i a_i;
h²_t = LSTM₂([z; h¹_t]); p_t = softmax(W_p h²_t + b). ā is the mean over a study's patches, and all
memory starts as zeros. Attention asks with h¹ of the same word.

What ā brings to LSTM₁'s gates is worked out once a study, and what E y brings once a word of the
vocabulary. Left out: the regions and features of a Faster R-CNN trained on Visual Genome (hence "on
a grid"), training on CIDEr. `updown.words: relu` is self-critical.pytorch's embedding (ReLU and
dropout on E y).

Shapes: B studies, K beams, S patches, d model width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.updown import Config
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import CellOutput, RecurrentModel, lstm


class Memory(NamedTuple):
    """Of both LSTMs, (B, K, d) each."""

    h1: Tensor
    c1: Tensor
    h2: Tensor
    c2: Tensor


class Seen(NamedTuple):
    mean: Tensor  # (B, 1, 4·d): what ā brings to LSTM₁'s gates
    a: Tensor  # (B, S, d)
    keys: Tensor  # (B, S, d_attention)


class UpDown(RecurrentModel[Memory, Seen]):
    def __init__(self, settings: Settings, vocabulary_size: int, *, pretrained: bool) -> None:
        super().__init__(settings, vocabulary_size, pretrained=pretrained)
        config = settings.family
        assert isinstance(config, Config)
        d = settings.model.d_model
        self.relu = config.updown.words == "relu"
        self.attend = AdditiveAttention(d, d, config.updown.d_attention)
        self.input = nn.Linear(d, 4 * d)  # LSTM₁: of E y, with its bias
        self.mean = nn.Linear(d, 4 * d, bias=False)  # of ā
        self.first = nn.Linear(2 * d, 4 * d, bias=False)  # of h¹ and h²
        self.second = nn.Linear(3 * d, 4 * d)  # LSTM₂: of z, h¹ and h², with its bias

    def look(self, patches: Tensor) -> tuple[Memory, Seen]:
        a = patches.mean(1, keepdim=True)
        zeros = torch.zeros_like(a)
        seen = Seen(self.mean(a), patches, self.attend.key(patches))
        return Memory(zeros, zeros, zeros, zeros), seen

    def read(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens)
        gates: Tensor = self.input(self.dropout(x.relu()) if self.relu else x)
        return gates

    def cell(self, word: Tensor, memory: Memory, seen: Seen) -> tuple[CellOutput, Memory]:
        h1, c1, h2, c2 = memory
        h1, c1 = lstm(word + seen.mean + self.first(torch.cat([h1, h2], -1)), c1)
        z, weights = self.attend(h1, seen.a, seen.keys)
        h2, c2 = lstm(self.second(torch.cat([z, h1, h2], -1)), c2)
        return CellOutput(h2, weights), Memory(h1, c1, h2, c2)


build = UpDown
