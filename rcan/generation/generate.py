"""Reports of whole splits: batches in, word ids out."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from rcan.generation.beam_search import S, beam_search


class Generator(Protocol[S]):
    """Anything that looks at images once and then writes word by word."""

    max_length: int

    def prepare(self) -> Any: ...

    def start(self, images: Tensor, projections: Tensor, num_beams: int, prepared: Any) -> S: ...

    def step(self, tokens: Tensor, state: S) -> Tensor: ...


def generate(
    model: Generator[S], batches: Iterable[tuple[Tensor, Tensor]], *, beam_size: int,
    length_penalties: Sequence[float], bos_id: int, eos_id: int, pad_id: int,
) -> list[list[list[int]]]:  # fmt: skip
    """For every length penalty the reports of all studies, in order, as lists of word ids.

    `batches` yields (images, projections) on the model's device.
    """
    reports: list[list[list[int]]] = [[] for _ in length_penalties]
    with torch.inference_mode():
        prepared = model.prepare()
        for images, projections in batches:
            words, _ = beam_search(
                model.step,
                model.start(images, projections, beam_size, prepared),
                num_studies=len(images),
                beam_size=beam_size,
                max_length=model.max_length,
                bos_id=bos_id,
                eos_id=eos_id,
                pad_id=pad_id,
                length_penalties=length_penalties,
                device=images.device,
            )
            for kept, of_penalty in zip(reports, words.cpu().tolist(), strict=True):
                kept += of_penalty
    return reports
