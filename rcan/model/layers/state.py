"""What a search carries from word to word: tensors that follow the beams, or words' keys and values
that stay where they were written.

Shapes: B studies, K beams, T words, h heads, d_k width of a head.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

# NamedTuples of tensors: what each beam remembers, (B, K, ...), and what a study shows, (B, ...).
M = TypeVar("M", bound=tuple[Tensor, ...])
S = TypeVar("S", bound=tuple[Tensor, ...])


@dataclass
class TensorState(Generic[M, S]):
    """The state of a search that is nothing but tensors.

    `memory`: a NamedTuple of one tensor (B, K, ...) a part, which follows the beams; `seen`: one of
    tensors (B, ...), the same for all beams of a study; `prepared`: what all studies share.
    """

    memory: M
    seen: S
    prepared: Any = None

    def reorder(self, beams: Tensor) -> None:
        """Beam k of study b goes on from beam `beams[b, k]` of the same study; beams (B, K)."""
        studies = torch.arange(len(beams), device=beams.device).unsqueeze(1)
        self.memory = each(self.memory, lambda x: x[studies, beams])

    def keep(self, studies: Tensor) -> None:
        """Go on with the studies of these numbers alone, studies (b,) of (B,)."""
        self.memory = each(self.memory, lambda x: x[studies])
        self.seen = each(self.seen, lambda x: x[studies])


def each(parts: M, change: Callable[[Tensor], Tensor]) -> M:
    """A NamedTuple of the same kind, every tensor of it changed."""
    return type(parts)(*map(change, parts))


class Written(Protocol):
    """Room for the keys and values of words, (B, h, T·K, d_k) each."""

    @property
    def keys(self) -> Tensor: ...
    @property
    def values(self) -> Tensor: ...


def write(written: Written, new: tuple[Tensor, Tensor], end: int) -> tuple[Tensor, Tensor]:
    """Keys and values of all words up to `end`, of which `new` (B, h, K, d_k) are the last."""
    place = slice(end - new[0].shape[2], end)
    written.keys[:, :, place], written.values[:, :, place] = new
    return written.keys[:, :, :end], written.values[:, :, :end]
