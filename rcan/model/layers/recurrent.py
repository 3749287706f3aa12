"""Recurrent writers: one cell a word, the same in training and when generating.

A family says what a word brings to the cell (`read`), what the cell does (`cell`) and how its
output becomes logits (`tell`). Training works `read` and `tell` out for all words at once and loops
the cell alone; generating looks `read` up in a table of the whole vocabulary. So `forward` is
`step` by construction.

Shapes: B studies, K beams (1 in training), T words, S patches, d width of the memory, Y vocabulary.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.config import Settings
from rcan.model.interface import NOTHING, Batch, Knowledge, Output, ReportModel
from rcan.model.layers.dropout import Dropout
from rcan.model.layers.state import M, S, TensorState, each
from rcan.model.visual.cnn import CNN
from rcan.model.visual.extractor import VisualExtractor


class CellOutput(NamedTuple):
    """What a cell gives for one word of K beams, or of T words."""

    hidden: Tensor  # (B, K or T, n): what the next word is told from
    attention: Tensor | None = None  # (B, K or T, S): where it looked, rows sum to 1


Cell = Callable[[Tensor, M], tuple[CellOutput, M]]


def unroll(cell: Cell[M], words: Tensor, memory: M) -> CellOutput:
    """Read T words one after the other: words (B, T, w), memory (B, 1, ...) before the first.

    Returns what the cell gives after each, (B, T, ...).
    """
    found = []
    for word in words.split(1, dim=1):
        one, memory = cell(word, memory)
        found.append(one)
    attention = [one.attention for one in found if one.attention is not None]
    hidden = torch.cat([one.hidden for one in found], 1)
    return CellOutput(hidden, torch.cat(attention, 1) if attention else None)


def lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c (..., d) of an LSTM, from c before and its pre-activations i, f, u, o (..., 4·d).

    The order is that of `nn.LSTM`. With i, f, u, u', o (..., 5·d) it is the maxout LSTM of
    self-critical.pytorch: what is written is the larger of u and u', without tanh.
    """
    i, f, *u, o = gates.split(c.shape[-1], -1)
    written = u[0].tanh() if len(u) == 1 else torch.maximum(*u)
    c = f.sigmoid() * c + i.sigmoid() * written
    return o.sigmoid() * c.tanh(), c


class LSTM(nn.LSTM):
    """An LSTM of one layer that is called for whole texts (B, T, d_input) or, by `cell`, a word."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, d_input: int, d: int) -> None:
        super().__init__(d_input, d, batch_first=True)

    def gates(self, x: Tensor) -> Tensor:
        """What inputs (..., d_input) alone bring to the gates, (..., 4·d)."""
        return F.linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)

    def cell(self, gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """h and c (..., d) after an input of these `gates`, from those before it."""
        return lstm(gates + F.linear(h, self.weight_hh_l0), c)


class Prepared(NamedTuple):
    """What is worked out once for the weights as they are, before any study."""

    cnn: CNN  # its batch norms folded into the convolutions
    words: Tensor  # (Y, w): `read` of the whole vocabulary


class RecurrentModel(ReportModel, Generic[M, S]):
    """Base of families whose memory of the words so far has a fixed size.

    A family defines `look`, `read`, `cell` and, unless one layer on `hidden` will do, `tell`.
    Embeddings and classifier start uniform in ±0.1 (self-critical.pytorch).
    """

    def __init__(
        self, settings: Settings, vocabulary_size: int, *, pretrained: bool,
        knowledge: Knowledge = NOTHING,
    ) -> None:  # fmt: skip
        model = settings.model
        visual = VisualExtractor(settings.visual, model, pretrained=pretrained)
        super().__init__(visual, settings.data.max_length, knowledge)
        self.words = nn.Embedding(vocabulary_size, model.d_model)
        self.dropout = Dropout(model.dropout)
        self.classifier = nn.Linear(model.d_model, vocabulary_size)
        for weight in (self.words.weight, self.classifier.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.classifier.bias)

    def look(self, patches: Tensor) -> tuple[M, S]:
        """Patch features (B, S, d) -> memory (B, 1, ...) before the first word, what is seen."""
        raise NotImplementedError

    def read(self, tokens: Tensor) -> Tensor:
        """What words alone bring to the cell and to `tell`: tokens (...) -> (..., w)."""
        raise NotImplementedError

    def cell(self, word: Tensor, memory: M, seen: S) -> tuple[CellOutput, M]:
        """One word further: word (B, K, w) of `read`; what is given after it, and the memory."""
        raise NotImplementedError

    def tell(self, words: Tensor, output: CellOutput, seen: S) -> tuple[Tensor, Tensor | None]:
        """Logits (B, n, Y) of the words that follow `words` (B, n, w), and attention (B, n, S).

        What does not feed back into the cell belongs here: training does it for all words at once.
        """
        return self.classifier(self.dropout(output.hidden)), output.attention

    def forward(self, batch: Batch) -> Output:
        """Logits of the next words and, where the family has attention, `attention` (B, T, S)."""
        memory, seen = self.look(self.visual(batch.images, batch.projections).patches)
        words = self.read(batch.tokens[:, :-1])
        output = unroll(lambda word, memory: self.cell(word, memory, seen), words, memory)
        logits, attention = self.tell(words, output, seen)
        return Output(logits, {} if attention is None else {"attention": attention})

    def prepare(self) -> Prepared:
        assert not self.training, "reports are generated in evaluation mode"
        vocabulary = torch.arange(self.words.num_embeddings, device=self.device)
        return Prepared(self.visual.folded(), self.read(vocabulary))

    def start(
        self, images: Tensor, projections: Tensor, num_beams: int, prepared: Prepared
    ) -> TensorState[M, S]:
        memory, seen = self.look(self.visual(images, projections, prepared.cnn).patches)
        memory = each(memory, lambda x: x.expand(-1, num_beams, *x.shape[2:]))
        return TensorState(memory, seen, prepared)

    def step(self, tokens: Tensor, state: TensorState[M, S]) -> Tensor:
        word = F.embedding(tokens, state.prepared.words)
        output, state.memory = self.cell(word, state.memory, state.seen)
        logits, _ = self.tell(word, output, state.seen)
        return logits.float().log_softmax(-1)

    def attention(self, batch: Batch) -> Tensor | None:
        assert not self.training, "attention is read in evaluation mode, where nothing is dropped"
        with torch.inference_mode():
            output: Output = self(batch)
        return output.parts.get("attention")
