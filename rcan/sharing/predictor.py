"""Studies to reports, by the steps of the pipeline's own generation.

Shapes: B studies, I images a study, T words at most.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rcan.data.batches import PROJECTION_IDS, Batch, StudyBatches
from rcan.data.store import first_views
from rcan.generation.beam_search import beam_search
from rcan.sharing.loading import Loaded
from rcan.sharing.study_files import ReadStudy


@dataclass(frozen=True)
class Report:
    """What a model writes about one study."""

    text: str
    log_probability: float  # of the whole report, its end included
    tokens: tuple[int, ...]  # ids of the words alone


class Predictor:
    """A loaded model that writes reports; what is worked out once is kept between calls."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        visual = loaded.model.visual
        self._maps = visual.features() if visual.takes_features else None
        with torch.inference_mode():
            self._prepared = loaded.model.prepare()

    @property
    def num_views(self) -> int:
        """How many images of a study the model reads."""
        return int(self.loaded.settings.data.num_views)

    def reports(self, studies: Iterable[ReadStudy], beams: int | None = None) -> Iterator[Report]:
        """A report for each study, in order, as many at once as generate.batch_size says.

        `beams`: the width of the search; None: generate.beam_size.
        """
        some: list[ReadStudy] = []
        for study in studies:
            some.append(study)
            if len(some) == self.loaded.settings.generate.batch_size:
                yield from self._of(some, beams)
                some = []
        if some:
            yield from self._of(some, beams)

    def batch_of(self, studies: Sequence[ReadStudy]) -> Batch:
        """Studies as the model takes them: images, or its frozen CNN's features; cut from the
        centre."""
        visual, words = self.loaded.model.visual, self.loaded.words
        source = np.concatenate([study.images for study in studies])
        if visual.takes_features:
            source = self._features(source, visual.crop)
        rows, projections = [], []
        first = 0
        for study in studies:
            number = len(study.images)
            rows.append(first_views(list(range(first, first + number)), self.num_views))
            kinds = [PROJECTION_IDS[name] for name in study.projections]
            projections.append(first_views(kinds, self.num_views))
            first += number
        (batch,) = StudyBatches(
            source, np.array(rows), np.array(projections),
            [[words.bos_id, words.eos_id]] * len(studies),
            window=visual.window, batch_size=len(studies), pad_id=words.pad_id,
        ).in_order()  # fmt: skip
        return batch.to(self.loaded.model.device)

    def _of(self, studies: Sequence[ReadStudy], beams: int | None) -> Iterator[Report]:
        model, words = self.loaded.model, self.loaded.words
        beam_size = beams or self.loaded.settings.generate.beam_size
        batch = self.batch_of(studies)
        with torch.inference_mode():
            found, scores = beam_search(
                model.step,
                model.start(batch.images, batch.projections, beam_size, self._prepared),
                num_studies=len(studies), beam_size=beam_size, max_length=model.max_length,
                bos_id=words.bos_id, eos_id=words.eos_id, pad_id=words.pad_id,
                length_penalties=[self.loaded.length_penalty], device=model.device,
            )  # fmt: skip
        for ids, score in zip(found[0].tolist(), scores[0].tolist(), strict=True):
            ended = words.eos_id in ids
            length = ids.index(words.eos_id) if ended else len(ids)
            total = score * (length + ended) ** self.loaded.length_penalty
            silent = (words.pad_id, words.bos_id)
            yield Report(
                words.decode(ids), total, tuple(i for i in ids[:length] if i not in silent)
            )

    def _features(self, images: np.ndarray, crop: int) -> np.ndarray:
        """(n, C, h, w) float16, as those that are kept."""
        assert self._maps is not None, "features are those of a frozen CNN"
        device = self.loaded.model.device
        first = (images.shape[-1] - crop) // 2
        centre = slice(first, first + crop)
        cut = torch.from_numpy(np.ascontiguousarray(images[:, centre, centre])).to(device)
        features: np.ndarray = self._maps(cut).half().cpu().contiguous().numpy()
        return features
