"""Fig. 4: which words of which studies are shown, and the maps for them.

By rule: of the findings that have a place, or of all where places are not known, those that most
reports rightly name, each in the first study in which as many models as possible name it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rcan.ablation.cells import Cells
from rcan.attention.patches import Places
from rcan.attention.pointing import look, spread_over
from rcan.reporting.attention_figure import Map, Row, Strip, attention_figure
from rcan.reporting.cells.wording import data_name
from rcan.reporting.mentions import Mention, label_of
from rcan.reporting.scene import FIRST, NAME, Looker, Scene, chosen_words

NUM_ROWS = 4
WHAT = {FIRST: "the first word of the mention", NAME: "the word that names it"}

Named = Sequence[Sequence[Mapping[str, Mention]]]  # model, study -> finding -> its mention


def draw_attention(scene: Scene, lookers: Sequence[Looker], cells: Cells, out: Path) -> list[str]:
    """Draw Fig. 4, a column a cell that the register gives it, of its first run. The runs that it
    shows; none if nothing is rightly named, and nothing is drawn."""
    shown = [
        next(looker for looker in lookers if looker.cell == cell)
        for cell in cells.of_figure("fig4")
        if any(looker.cell == cell for looker in lookers)
    ]
    named = [scene.named(looker.texts) for looker in shown]
    rows = [
        _row(scene, shown, named, _study(named, finding), finding)
        for finding in _findings(scene, named)[:NUM_ROWS]
    ]
    if not rows:
        return []
    title = f"{data_name(scene.data_name)}, {scene.split.name} split: where models look while they"
    columns = [cells.show(looker.cell).title for looker in shown]
    attention_figure(rows, columns, f"{title} name a finding", out)
    return [looker.run for looker in shown]


def _findings(scene: Scene, named: Named) -> list[str]:
    """All findings that may be shown, those first that most reports name."""
    counts: dict[str, int] = {}
    for of_model in named:
        for study, found in enumerate(of_model):
            for finding in found:
                if scene.regions is None or scene.region(study, finding) is not None:
                    counts[finding] = counts.get(finding, 0) + 1
    return sorted(counts, key=lambda finding: (-counts[finding], finding))


def _study(named: Named, finding: str) -> int:
    """The first study in which as many models as possible name a finding."""
    num_namers = [
        sum(finding in found for found in of_models) for of_models in zip(*named, strict=True)
    ]
    return int(np.argmax(num_namers))


def _row(scene: Scene, lookers: Sequence[Looker], named: Named, study: int, finding: str) -> Row:
    record = scene.split.studies[study]
    views = record.views[: lookers[0].places.num_images]
    region = scene.region(study, finding)
    label = label_of(finding, scene.truths[study], scene.labeler) or finding
    maps: list[dict[str, Map]] = []
    for looker, of_model in zip(lookers, named, strict=True):
        mention = of_model[study].get(finding)
        words = chosen_words(mention, looker.texts[study]) if mention else {}
        maps.append(
            {
                kind: _map(looker, study, finding, word, region, len(views))
                for kind, word in words.items()
            }
        )
    return Row(
        heading=f"{', '.join(label.replace('_', ' ').split('/'))} · {record.id}",
        images=[np.array(scene.split.images[view.row]) for view in views],
        captions=[view.projection or "view" for view in views],
        regions=None if region is None else region[: len(views)],
        strips=[
            Strip(WHAT[kind], [of_model.get(kind) for of_model in maps])
            for kind in WHAT
            if any(kind in of_model for of_model in maps)
        ],
    )


def _map(
    looker: Looker, study: int, finding: str, word: int, region: np.ndarray | None, num_views: int
) -> Map:
    attention = looker.attention[study]
    if region is None:
        wide = spread_over(attention[word : word + 1])
        note = f"spread over {wide:.0f} of {attention.shape[1]} patches"
    else:
        one = look(study, finding, attention, word, region, looker.places)
        note = f"{one.share:.0%} on the finding; {one.even:.0%} if even"
    times_even = _times_even(looker.places, attention[word], num_views)
    return Map(times_even, looker.texts[study].split(), word, note)


def _times_even(places: Places, weights: np.ndarray, num_views: int) -> np.ndarray:
    """(num_views, size, size); an image given again for want of a second is one with the first."""
    spread, even = (
        np.concatenate([x[: num_views - 1], x[num_views - 1 :].sum(0, keepdims=True)])
        for x in (places.spread(weights), places.even())
    )
    ratio: np.ndarray = np.divide(spread, even, out=np.full_like(even, np.nan), where=even > 0)
    return ratio
