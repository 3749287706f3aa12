"""Fig. 4: which words of which studies are shown, and the maps for them.

By rule: of the findings that have a place, or of all where places are not known, those that most
reports rightly name, each in the first study in which as many models as possible name it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rcan.ablation.cells import Cells
from rcan.attention.pointing import look, spread_over
from rcan.reporting.attention_figure import Map, Row, Strip, attention_figure
from rcan.reporting.labelled_split import FIRST, NAME, LabelledSplit, ModelAttention, chosen_words
from rcan.reporting.mentions import Mention, label_of
from rcan.reporting.names import data_name

NUM_ROWS = 4
WHAT = {FIRST: "the first word of the mention", NAME: "the word that names it"}

Named = Sequence[Sequence[Mapping[str, Mention]]]  # model, study -> finding -> its mention


def draw_attention(
    labelled: LabelledSplit, models: Sequence[ModelAttention], cells: Cells, out: Path
) -> list[str]:
    """Draw Fig. 4, a column a cell that the register gives it, of its first run. The runs that it
    shows; none if nothing is rightly named, and nothing is drawn."""
    shown = [
        next(model for model in models if model.cell == cell)
        for cell in cells.of_figure("fig4")
        if any(model.cell == cell for model in models)
    ]
    named = [labelled.named(model.texts) for model in shown]
    rows = [
        _row(labelled, shown, named, _study(named, finding), finding)
        for finding in _findings(labelled, named)[:NUM_ROWS]
    ]
    if not rows:
        return []
    title = f"{data_name(labelled.data_name)}, {labelled.split.name} split: where models look while"
    columns = [cells.show(model.cell).title for model in shown]
    attention_figure(rows, columns, f"{title} they name a finding", out)
    return [model.run for model in shown]


def _findings(labelled: LabelledSplit, named: Named) -> list[str]:
    """All findings that may be shown, those first that most reports name."""
    counts: dict[str, int] = {}
    for of_model in named:
        for study, found in enumerate(of_model):
            for finding in found:
                if labelled.regions is None or labelled.region(study, finding) is not None:
                    counts[finding] = counts.get(finding, 0) + 1
    return sorted(counts, key=lambda finding: (-counts[finding], finding))


def _study(named: Named, finding: str) -> int:
    """The first study in which as many models as possible name a finding."""
    num_namers = [
        sum(finding in found for found in of_models) for of_models in zip(*named, strict=True)
    ]
    return int(np.argmax(num_namers))


def _row(
    labelled: LabelledSplit,
    models: Sequence[ModelAttention],
    named: Named,
    study: int,
    finding: str,
) -> Row:
    record = labelled.split.studies[study]
    views = record.views[: models[0].places.num_images]
    region = labelled.region(study, finding)
    label = label_of(finding, labelled.truths[study], labelled.labeler) or finding
    maps: list[dict[str, Map]] = []
    for model, of_model in zip(models, named, strict=True):
        mention = of_model[study].get(finding)
        words = chosen_words(mention, model.texts[study]) if mention else {}
        kinds = {kind: (finding, word) for kind, word in words.items()}
        maps.append({k: _map(model, study, at, region, len(views)) for k, at in kinds.items()})
    return Row(
        heading=f"{', '.join(label.replace('_', ' ').split('/'))} · {record.id}",
        images=[np.array(labelled.split.images[view.row]) for view in views],
        captions=[view.projection or "view" for view in views],
        regions=None if region is None else region[: len(views)],
        strips=[
            Strip(WHAT[kind], [of_model.get(kind) for of_model in maps])
            for kind in WHAT
            if any(kind in of_model for of_model in maps)
        ],
    )


def _map(
    model: ModelAttention,
    study: int,
    at: tuple[str, int],
    region: np.ndarray | None,
    num_views: int,
) -> Map:
    """`at`: the finding, and the number of the word."""
    attention, (finding, word) = model.attention[study], at
    if region is None:
        wide = spread_over(attention[word : word + 1])
        note = f"spread over {wide:.0f} of {attention.shape[1]} patches"
    else:
        one = look(study, finding, attention, word, region, model.places)
        note = f"{one.share:.0%} on the finding; {one.even:.0%} if even"
    times_even = model.places.times_even(attention[word], num_views)
    return Map(times_even, model.texts[study].split(), word, note)
