"""What the results of a cell must hold for its tables, besides what a report of one run reads."""

from collections.abc import Mapping
from typing import Any

from rcan.errors import UserError, name_shown
from rcan.reading import Shape, require_shape
from rcan.reporting.published import METRICS
from rcan.reporting.results import CONFIG, SCORES, SYSTEM
from rcan.reporting.tables import PROTOCOLS

GROUPS = ("in_train", "not_in_train", "normal", "abnormal")
WRITERS = ("model", "image_swap", "best_constant", "references")
KINDS = ("precision", "recall", "f1")

CELL_CONFIG: Shape = {**CONFIG, "scale": str}
_FALL: Shape = {metric: dict.fromkeys(("difference", "low", "high"), (-1, 1)) for metric in METRICS}
_SCORES: Shape = {
    **SCORES,
    "references": dict.fromkeys(PROTOCOLS, str),
    "controls": {
        "image_swap": {protocol: {"model": SYSTEM, "fall": _FALL} for protocol in PROTOCOLS}
    },
    "groups": dict.fromkeys(PROTOCOLS, dict),
    "group_shares": {"val": dict, "test": dict},
}
_GROUP: Shape = {"num_studies": int, "model": SYSTEM, "best_constant": SYSTEM}
_FINDINGS: Shape = {
    "labeler": str,
    **{writer: {"macro": dict, "micro": dict} for writer in WRITERS},
}


def require_cell_scores(scores: Mapping[str, Any], place: str, remedy: str) -> None:
    """Raise `UserError` unless a cell's scores.json holds the controls beside the scores."""
    require_shape(scores, _SCORES, place, remedy)
    for protocol, groups in scores["groups"].items():
        for name, group in groups.items():
            require_shape(group, _GROUP, f"{place}, groups, {protocol}, {name_shown(name)}", remedy)
    if "findings" in scores:
        findings = scores["findings"]
        require_shape(findings, _FINDINGS, f"{place}, findings", remedy)
        for writer in WRITERS:
            require_shape(
                findings[writer], {"per_finding": dict}, f"{place}, findings, {writer}", remedy
            )
            of_writer = {**findings[writer]["per_finding"], **findings[writer]}
            del of_writer["per_finding"]
            for name, rates in of_writer.items():
                _require_rates(rates, f"{place}, findings, {writer}, {name_shown(name)}", remedy)


def _require_rates(rates: Any, place: str, remedy: str) -> None:
    """Each of KINDS with a score and an interval; of 0/0 there is none, and null stands there."""
    require_shape(rates, dict.fromkeys(KINDS, dict), place, remedy)
    for kind in KINDS:
        for key in ("score", "low", "high"):
            value = rates[kind].get(key, "")
            known = isinstance(value, int | float) and 0 <= value <= 1
            if value is not None and not known:
                raise UserError(
                    f"{place}, {kind}, {key}: expected 0 to 1 or null, found another; {remedy}"
                )
