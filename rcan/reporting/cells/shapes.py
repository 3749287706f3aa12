"""What the results of a cell must hold for its tables, besides what a report of one run reads."""

from collections.abc import Mapping
from typing import Any

from rcan.reading import Shape, require_shape
from rcan.reporting.control_shapes import require_controls
from rcan.reporting.results import CONFIG, SCORES

_TEXTLESS = {key: shape for key, shape in SCORES.items() if key != "floors"}  # as published
CELL_CONFIG: Shape = {**CONFIG, "scale": str}


def require_cell_scores(scores: Mapping[str, Any], place: str, remedy: str) -> None:
    """Raise `UserError` unless a cell's scores.json holds the controls beside the scores."""
    require_shape(scores, _TEXTLESS, place, remedy)
    require_controls(scores, place, remedy)
