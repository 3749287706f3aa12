"""What scores.json must hold of the controls: image swap, studies apart, findings."""

from collections.abc import Mapping
from typing import Any

from rcan.errors import UserError, name_shown
from rcan.reading import Shape, require_shape
from rcan.reporting.published import METRICS
from rcan.reporting.tables import PROTOCOLS

GROUPS = ("in_train", "not_in_train", "normal", "abnormal")
WRITERS = ("model", "image_swap", "best_constant", "references")
SUMS = ("macro", "micro")
SPLITS = ("val", "test")
KINDS = ("precision", "recall", "f1")

_SHARE, _LEAD = (0, 1), (-1, 1)
_SYSTEM: Shape = {metric: dict.fromkeys(("score", "low", "high"), _SHARE) for metric in METRICS}
_FALL: Shape = {metric: dict.fromkeys(("difference", "low", "high"), _LEAD) for metric in METRICS}
_SHARES: Shape = {"num_studies": int, "in_train": _SHARE}
_CONTROLS: Shape = {
    "references": dict.fromkeys(PROTOCOLS, str),
    "controls": {
        "image_swap": {protocol: {"model": _SYSTEM, "fall": _FALL} for protocol in PROTOCOLS}
    },
    "groups": dict.fromkeys(PROTOCOLS, dict),
    "group_shares": dict.fromkeys(SPLITS, _SHARES),
}
_GROUP: Shape = {"num_studies": int, "model": _SYSTEM, "best_constant": _SYSTEM}
_FOUND: Shape = {"per_finding": dict, **dict.fromkeys(SUMS, dict)}
_FINDINGS: Shape = {"labeler": str, "num_studies": int, **dict.fromkeys(WRITERS, _FOUND)}
_COUNTS: Shape = dict.fromkeys(("positives", "predicted", "hits"), int)


def require_controls(scores: Mapping[str, Any], place: str, remedy: str) -> None:
    """Raise UserError unless scores.json, read from `place`, holds the controls beside the scores.

    Findings are there only if studies have labels.
    """
    require_shape(scores, _CONTROLS, place, remedy)
    for protocol in PROTOCOLS:
        for name, group in scores["groups"][protocol].items():
            require_shape(group, _GROUP, f"{place}, groups, {protocol}, {name_shown(name)}", remedy)
    for split in SPLITS:
        if "normal" in (shares := scores["group_shares"][split]):
            require_shape(shares["normal"], _SHARE, f"{place}, group_shares, {split}", remedy)
    if "findings" in scores:
        _require_findings(scores["findings"], f"{place}, findings", remedy)


def _require_findings(findings: Any, place: str, remedy: str) -> None:
    require_shape(findings, _FINDINGS, place, remedy)
    names = list(findings["references"]["per_finding"])
    for writer in WRITERS:
        found = findings[writer]
        for total in SUMS:
            _require_rates(found[total], f"{place}, {writer}, {total}", remedy)
        if list(found["per_finding"]) != names:
            raise UserError(
                f"{place}, {writer}: expected the findings of the references, found others; "
                f"{remedy}"
            )
        for name, rates in found["per_finding"].items():
            inside = f"{place}, {writer}, {name_shown(name)}"
            require_shape(rates, _COUNTS, inside, remedy)
            _require_rates(rates, inside, remedy)
    if "with_attributes" in findings:
        inside = f"{place}, with_attributes"
        require_shape(findings["with_attributes"], {"model": dict}, inside, remedy)
        _require_rates(findings["with_attributes"]["model"], f"{inside}, model", remedy)


def _require_rates(rates: Any, place: str, remedy: str) -> None:
    """Each of KINDS with its interval; what is 0 / 0 has none, and null stands in all places."""
    require_shape(rates, dict.fromkeys(KINDS, dict), place, remedy)
    for kind in KINDS:
        values = [rates[kind].get(key, "") for key in ("score", "low", "high")]
        if values != [None] * 3 and not all(map(_is_share, values)):
            raise UserError(
                f"{place}, {kind}: expected 0 to 1 or null as score, low and high, found others; "
                f"{remedy}"
            )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
