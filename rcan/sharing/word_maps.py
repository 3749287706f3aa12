"""Where the decoder looks in one study's images while it writes each word, as a picture.

The figure is Fig. 4's, with a column a word in the place of one a model.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from rcan.attention.patches import places_of
from rcan.errors import UserError
from rcan.sharing.predictor import Predictor, Report
from rcan.sharing.study_files import ReadStudy

COLUMNS = 6
FULL_STOP = "."


def draw_attention(
    predictor: Predictor, study: ReadStudy, report: Report, chosen: Sequence[str], out: Path
) -> None:
    """Draw the maps of the words in `chosen`, or of all but full stops, as `out` (PNG) and SVG.

    Raises `UserError` for a model that sees no images, or a report without such a word.
    """
    from rcan.attention.weights import attention_of_reports
    from rcan.reporting.attention_figure import Map, Row, Strip, attention_figure

    loaded = predictor.loaded
    if loaded.settings.visual.blind:
        raise UserError("this model is a control that sees no image: it has no attention to draw")
    words = report.text.split()
    numbers = numbers_of_words(words, chosen)
    ids = [loaded.words.bos_id, *report.tokens, loaded.words.eos_id]
    (attention,) = attention_of_reports(
        loaded.model, [predictor.batch_of([study])], [ids], pad_id=loaded.words.pad_id
    )
    places = places_of(loaded.settings, loaded.model.visual.map_side)
    num_views = len(study.images)

    def map_of(number: int) -> Map:
        times_even = places.times_even(attention[number], num_views)
        peak = np.nanmax(times_even)
        return Map(times_even, words, number, f"word {number + 1}, {peak:.1f} at most")

    columns = min(COLUMNS, len(numbers))
    nothing = Map(np.full((num_views, *study.images.shape[1:]), np.nan), [" "], 0, "")
    strips = []
    rest = iter(numbers)
    while some := list(islice(rest, columns)):
        maps = [*map(map_of, some), *[nothing] * (columns - len(some))]
        strips.append(Strip("", maps))
    row = Row(_heading(words), list(study.images), list(study.projections), None, strips)
    title = "Where the model looks while it writes each word; not for clinical use"
    attention_figure([row], [""] * columns, title, out)


def numbers_of_words(words: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """The numbers of the words to draw: all that are in `chosen`, or all but full stops.

    Raises:
        UserError: the report lacks a chosen word, or has no word to draw.
    """
    wanted = {word.lower() for word in chosen}
    if missing := sorted(wanted - set(words)):
        raise UserError(
            f"expected words of the report to look for, it has no {' and no '.join(missing)}; "
            "leave out --word to see them all"
        )
    numbers = [n for n, w in enumerate(words) if (w in wanted if wanted else w != FULL_STOP)]
    if not numbers:
        raise UserError("the report has no word to draw attention for; nothing was drawn")
    return numbers


def _heading(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= 110 else f"{text[:107]}..."
