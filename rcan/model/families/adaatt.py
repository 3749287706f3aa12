"""AdaAtt, *Knowing when to look* (Lu et al., 1612.01887, §2-3): attention that may look away.

v_i = ReLU(W_a a_i), v_g = ReLU(W_b ā), x_t = [E y_{t-1}; v_g]; (h, m)_t = LSTM(x_t; (h, m)_{t-1})
from zeros; the sentinel s_t = σ(W_x x_t + W_h h_{t-1}) ⊙ tanh(m_t). Scores z_i = wᵀ tanh(W_v v_i +
W_g h_t) and z_s = wᵀ tanh(W_s s_t + W_g h_t); α̂ = softmax([z; z_s]), of which β is the last;
ĉ = Σ_i α̂_i v_i + β s_t; p = softmax(W_p(ĉ + h_t)).

`adaatt.extra_layers`, of the authors' code and self-critical.pytorch's: ReLU of words; in the place
of s and h, after the LSTM, ReLU(W s) and tanh(W h); tanh(W(ĉ + h)) before W_p; dropout of the
scores' tanh. Left out: a CNN that is trained from a certain epoch on.

Attention does not feed back into the LSTM: in training it is asked for all words at once.

Shapes: B studies, K beams, S patches, d model width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.adaatt import Config
from rcan.model.layers.attention import AdditiveAttention
from rcan.model.layers.recurrent import CellOutput, RecurrentModel, lstm


class Memory(NamedTuple):
    """(B, K, d) each."""

    h: Tensor
    m: Tensor


class Seen(NamedTuple):
    v: Tensor  # (B, S, d)
    keys: Tensor  # (B, S, d): W_v v_i + b
    gates: Tensor  # (B, 5·d): what v_g brings to the gates


class AdaAtt(RecurrentModel[Memory, Seen]):
    """`input`, `image`, `recurrent`: weights of words, v_g and h for the LSTM's gates and g."""

    def __init__(self, settings: Settings, vocabulary_size: int, *, pretrained: bool) -> None:
        super().__init__(settings, vocabulary_size, pretrained=pretrained)
        config = settings.family
        assert isinstance(config, Config)
        d, dropout = settings.model.d_model, self.dropout
        self.patch = nn.Sequential(nn.Linear(d, d), nn.ReLU(), dropout)
        self.mean = nn.Sequential(nn.Linear(d, d), nn.ReLU(), dropout)
        self.input, self.image, self.recurrent = (
            nn.Linear(d, 5 * d, bias=bias) for bias in (True, False, False)
        )
        self.of_word: nn.Module = dropout
        self.of_s: nn.Module = dropout
        self.of_h: nn.Module = dropout
        self.output: nn.Module = nn.Identity()
        if config.adaatt.extra_layers:
            self.of_word = nn.Sequential(nn.ReLU(), dropout)
            self.of_s = nn.Sequential(dropout, nn.Linear(d, d), nn.ReLU(), dropout)
            self.of_h = nn.Sequential(dropout, nn.Linear(d, d), nn.Tanh(), dropout)
            self.output = nn.Sequential(nn.Linear(d, d), nn.Tanh())
        of_scores = settings.model.dropout if config.adaatt.extra_layers else 0.0
        self.attend = AdditiveAttention(d, d, d, dropout=of_scores)
        self.key_of_s = nn.Linear(d, d)

    def look(self, patches: Tensor) -> tuple[Memory, Seen]:
        v = self.patch(patches)
        gates = self.image(self.mean(patches.mean(1)))
        zeros = v.new_zeros(len(v), 1, v.shape[-1])
        return Memory(zeros, zeros), Seen(v, self.attend.key(v), gates)

    def read(self, tokens: Tensor) -> Tensor:
        gates: Tensor = self.input(self.of_word(self.words(tokens)))
        return gates

    def cell(self, word: Tensor, memory: Memory, seen: Seen) -> tuple[CellOutput, Memory]:
        """CellOutput: h_t and the sentinel s_t, (B, K, 2·d)."""
        gates = word + seen.gates.unsqueeze(1) + self.recurrent(memory.h)
        d = memory.h.shape[-1]
        gates, g = gates.split([4 * d, d], -1)
        h, m = lstm(gates, memory.m)
        return CellOutput(torch.cat([h, g.sigmoid() * m.tanh()], -1)), Memory(h, m)

    def tell(self, words: Tensor, output: CellOutput, seen: Seen) -> tuple[Tensor, Tensor | None]:
        """Logits, and α: attention among the patches alone."""
        h, s = output.hidden.chunk(2, -1)
        h, s = self.of_h(h), self.of_s(s)
        query = self.attend.query(h).unsqueeze(2)
        z = self.attend.score(seen.keys.unsqueeze(1), query)  # (B, n, S)
        z_s = self.attend.score(self.key_of_s(s).unsqueeze(2), query)  # (B, n, 1)
        weights = torch.cat([z, z_s], -1).softmax(-1)
        c = weights[..., :-1] @ seen.v + weights[..., -1:] * s
        return self.classifier(self.dropout(self.output(c + h))), z.softmax(-1)


build = AdaAtt
