"""What a cell changes, told from the settings that it was planned with."""

from rcan.dotted import flatten
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.wording import cell_name
from rcan.reporting.groups import FULL
from rcan.table import NONE

_OF_A_RUN = {"train.seed"}  # differs between runs of one cell


def what_changes(ablations: Ablations, cell: str) -> str:
    """`wcl.denominator = all (not negatives)`, or of which cell it is the same."""
    runs = ablations.model(cell).runs
    if not runs:
        return "not in `ablations/cells.yaml`"
    settings = runs[0].settings
    if settings is None:
        twin = FULL if runs[0].place == "main" else runs[0].place.rpartition("-")[0]
        return f"the same as {cell_name(twin)}"
    of_full = [run for run in ablations.model(FULL).done if run.result]
    if not of_full or not of_full[0].result:
        return NONE
    own, full = flatten(settings), flatten(of_full[0].result.config)
    changed = [
        f"{key} = {_told(value)} (not {_told(full[key])})"
        for key, value in own.items()
        if key in full and key not in _OF_A_RUN and value != full[key] and not _same_path(key)
    ]
    return "; ".join(changed) or "the same settings"


def _same_path(key: str) -> bool:
    return key == "visual.weights"  # the plan holds a path of which a run keeps the name


def _told(value: object) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"
    )
