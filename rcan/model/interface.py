"""What every family of models is: images of a study in, a report out.

In training a model reads whole reports at once (`forward`, `losses`); when generating, one word at
a time (`prepare`, `start`, `step`), and gives the same numbers in both ways. It knows no tokenizer,
no file and no name of a data set.

Shapes: B studies, K beams, I images a study, T words, S patches, Y vocabulary.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rcan.model.visual.extractor import VisualExtractor

# The family's own tasks (`Family.pretrain_share`), then the words of reports, then rewards.
Phase = Literal["pretrain", "words", "reward"]


class Batch(Protocol):
    """Some studies: what is seen and, for training, what was written."""

    @property
    def images(self) -> Tensor: ...  # (B, I, side, side) uint8, or (B, I, C, side, side) features
    @property
    def projections(self) -> Tensor: ...  # (B, I) int64: 0 unknown, 1 frontal, 2 lateral
    @property
    def tokens(self) -> Tensor: ...  # (B, T + 1) int64: bos, words, eos, then padding
    @property
    def pad_id(self) -> int: ...
    @property
    def numbers(self) -> Tensor | None: ...  # (B,) int64: places in the split, in training


class Output(NamedTuple):
    """What `forward` gives: all that `losses` reads."""

    logits: Tensor  # (B, T, Y) of the word after each of the batch's tokens but the last
    parts: Mapping[str, Tensor] = {}  # whatever else the family's loss is made of


class Knowledge(NamedTuple):
    """What a family learns of the training studies before it is trained, as tables by name."""

    kept: Mapping[str, Tensor] = {}  # go with the weights
    of_studies: Mapping[str, Tensor] = {}  # (N, ...), a row a training study: for losses alone


NOTHING = Knowledge()


class Together(Protocol):
    """The processes that share a batch among them, as `losses` sees them."""

    def gathered(self, x: Tensor) -> Tensor:
        """Dimension 1 of all processes' `x` (n, b, ...) joined, with gradients."""

    def share_of_tokens(self, targets: Tensor, pad_id: int) -> Tensor | float:
        """What a mean over this process' words is weighed by."""


class Alone:
    """One process that has whole batches to itself."""

    def gathered(self, x: Tensor) -> Tensor:
        return x

    def share_of_tokens(self, targets: Tensor, pad_id: int) -> float:
        return 1.0


class State(Protocol):
    """What a search carries from word to word: all that `step` needs besides words."""

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from beam `beams[b, k]` of the same study; beams (B, K)."""

    def keep(self, studies: Tensor) -> None:
        """Go on with the studies of these numbers alone, studies (b,) of (B,)."""


class Tables(nn.Module):
    """`Knowledge` as buffers, on the model's device."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__()
        assert not knowledge.kept.keys() & knowledge.of_studies.keys(), "two tables of one name"
        for name, table in knowledge.kept.items():
            self.register_buffer(name, table)
        for name, table in knowledge.of_studies.items():
            self.register_buffer(name, table, persistent=False)

    def __getitem__(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def of(self, batch: Batch, name: str) -> Tensor:
        """The rows of the batch's training studies, (B, ...)."""
        assert batch.numbers is not None, "only training studies have rows"
        return self.get_buffer(name)[batch.numbers]


class ReportModel(nn.Module):
    """Base of all families. `max_length`: the longest report in words."""

    phase: Phase = "words"  # set by the training loop; what `forward` and `losses` are for

    def __init__(
        self, visual: VisualExtractor, max_length: int, knowledge: Knowledge = NOTHING
    ) -> None:
        super().__init__()
        self.visual, self.max_length, self.tables = visual, max_length, Tables(knowledge)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.parameters()).device

    def forward(self, batch: Batch) -> Output:
        """Teacher forcing: every word is told from those before it, `batch.tokens[:, :-1]`."""
        raise NotImplementedError

    def losses(self, output: Output, batch: Batch, together: Together) -> dict[str, Tensor]:
        """`loss`, which is minimised, and by names that begin with `loss_` what else is told.

        As it stands, cross-entropy alone (Eq. 23).
        """
        loss = cross_entropy(output, batch, together)
        return {"loss": loss, "loss_ce": loss.detach()}

    def scored(self, batch: Batch) -> Tensor:
        """Which words of reports, (B, T) bool, count in their likelihood: all but padding."""
        return batch.tokens[:, 1:] != batch.pad_id

    def prepare(self) -> Any:
        """What all reports share that are generated with the weights as they now are."""

    def start(self, images: Tensor, projections: Tensor, num_beams: int, prepared: Any) -> State:
        """Look at the images (B, I, ...), once, and be ready to write `num_beams` reports each.

        `prepared`: of this model in evaluation mode; one serves all batches.
        """
        raise NotImplementedError

    def step(self, tokens: Tensor, state: Any) -> Tensor:
        """One word further: tokens (B, K) -> log-probabilities of the next ones (B, K, Y)."""
        raise NotImplementedError

    def attention(self, batch: Batch) -> Tensor | None:
        """Where the model looks to write each word, (B, T, S), rows sum to 1; None: nowhere."""
        return None

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by what their learning rate is called: `visual` and `rest`."""
        visual = self.visual.parameters_of_the_map()
        seen = {id(p) for p in visual}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in seen]
        return {"visual": visual, "rest": rest}


def cross_entropy(output: Output, batch: Batch, together: Together) -> Tensor:
    """L_CE (Eq. 23), mean over the real tokens of all processes."""
    targets = batch.tokens[:, 1:]
    loss = F.cross_entropy(
        output.logits.flatten(0, 1).float(), targets.flatten(), ignore_index=batch.pad_id
    )
    return loss * together.share_of_tokens(targets, batch.pad_id)
