"""NIC, *Show and tell* (Vinyals et al., 1411.4555): an LSTM reads the image as its first word.

x_-1 = W_v ā, of which no word is told; x_t = E y_t; (h, c)_t = LSTM(x_t; (h, c)_{t-1}) from zeros;
p_t = softmax(W_o h_t + b). ā is the mean over a study's patches.

Left out: the fine-tuned Inception network, ensembles. `nic.cell: maxout` is the cell of
self-critical.pytorch (`NewFCModel`).

Shapes: B studies, K beams, S patches, d model width.
"""

from typing import NamedTuple

from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.families.nic import Config
from rcan.model.interface import Batch, Output
from rcan.model.layers.recurrent import LSTM, CellOutput, RecurrentModel, lstm


class Memory(NamedTuple):
    """(B, K, d) each."""

    h: Tensor
    c: Tensor


class Maxout(nn.Module):
    """The maxout LSTM, by the names of `LSTM`."""

    def __init__(self, d_input: int, d: int) -> None:
        super().__init__()
        self.gates = nn.Linear(d_input, 5 * d)
        self.recurrent = nn.Linear(d, 5 * d, bias=False)

    def cell(self, gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return lstm(gates + self.recurrent(h), c)


class NIC(RecurrentModel[Memory, tuple[()]]):
    """Its parameters beside those of `RecurrentModel`: W_v (`image`) and the LSTM."""

    def __init__(self, settings: Settings, vocabulary_size: int, *, pretrained: bool) -> None:
        super().__init__(settings, vocabulary_size, pretrained=pretrained)
        config = settings.family
        assert isinstance(config, Config)
        d = settings.model.d_model
        self.image = nn.Linear(d, d)
        self.lstm = Maxout(d, d) if config.nic.cell == "maxout" else LSTM(d, d)

    def look(self, patches: Tensor) -> tuple[Memory, tuple[()]]:
        x = self.image(patches.mean(1, keepdim=True))  # (B, 1, d)
        zeros = x.new_zeros(x.shape)
        return Memory(*self.lstm.cell(self.lstm.gates(x), zeros, zeros)), ()

    def read(self, tokens: Tensor) -> Tensor:
        return self.lstm.gates(self.words(tokens))

    def cell(self, word: Tensor, memory: Memory, seen: tuple[()]) -> tuple[CellOutput, Memory]:
        h, c = self.lstm.cell(word, *memory)
        return CellOutput(h), Memory(h, c)

    def forward(self, batch: Batch) -> Output:
        if isinstance(self.lstm, Maxout):
            return super().forward(batch)
        memory, _ = self.look(self.visual(batch.images, batch.projections).patches)
        h, c = (x.transpose(0, 1).contiguous() for x in memory)
        words = self.words(batch.tokens[:, :-1])
        hidden, _ = self.lstm(words, (h, c))  # one call: 2.5 times as fast as word by word
        logits, _ = self.tell(words, CellOutput(hidden), ())
        return Output(logits)


build = NIC
