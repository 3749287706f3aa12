"""Reports of whole splits: batches in, word ids out."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from rcan.config import Generate
from rcan.data.batches import Batch
from rcan.generation.beam_search import S, beam_search
from rcan.text.tokenizer import Tokenizer


class Generator(Protocol[S]):
    """Anything that looks at images once and then writes word by word.

    `start` takes images (B, I, ...) and projections (B, I) of B studies of I images; `step` takes
    the last words (B, K) of K beams and gives log-probabilities (B, K, Y) of the next (§4.1.2).
    """

    max_length: int

    @property
    def device(self) -> torch.device: ...

    def eval(self) -> Any: ...

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


def write_reports(
    model: Generator[S], batches: Iterable[Batch], words: Tokenizer, settings: Generate,
    penalties: Sequence[float] | None = None,
) -> list[list[str]]:  # fmt: skip
    """Texts of all studies of `batches` in order, one list a length penalty.

    `penalties`: None for those of the settings.
    """
    model.eval()
    on_device = (batch.to(model.device) for batch in batches)
    ids = generate(
        model, ((b.images, b.projections) for b in on_device),
        beam_size=settings.beam_size, length_penalties=penalties or settings.length_penalty,
        bos_id=words.bos_id, eos_id=words.eos_id, pad_id=words.pad_id,
    )  # fmt: skip
    return [[words.decode(report) for report in reports] for reports in ids]
