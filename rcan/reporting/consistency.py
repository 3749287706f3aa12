"""What may stand in one table: results of one run, on the same studies of one data set."""

from collections.abc import Mapping
from typing import Any

from rcan.errors import UserError, shown
from rcan.reading import Shape, require_shape

_SCORES: Shape = {
    "data": str, "split": str, "num_studies": int, "data_digest": str, "run": str,
    "diagnostics": {"num_studies": int},
}  # fmt: skip
_BEST: Shape = {"data_digest": str, "key": str}
OVERLAPS = {
    "image_in_two_splits": "images of validation or test equal an image of an earlier split",
    "patient_in_two_splits": "patients have studies in more than one split",
}


def require_agreement(told: Mapping[str, Mapping[str, object]]) -> None:
    """Raise UserError unless all sources that tell a fact tell the same.

    `told`: where it stands -> fact (data set, split, protocol, number of studies) -> value.
    """
    first: dict[str, tuple[str, object]] = {}
    for source, facts in told.items():
        for fact, value in facts.items():
            other_source, other = first.setdefault(fact, (source, value))
            if value != other:
                raise UserError(
                    f"expected results of one {fact} in a table; {other_source} tells"
                    f" {shown(other)}, {source} {shown(value)}; run `dvc repro` to make them anew"
                )


def require_one_run(
    scores: Mapping[str, Any], predictions: int, best: Mapping[str, Any],
    config: Mapping[str, Any], summary: Mapping[str, Any],
) -> None:  # fmt: skip
    """Raise UserError unless the files that a report is made of belong together.

    `predictions` is the number of rows in predictions.csv.
    """
    remedy = "run `dvc repro` to make it anew"
    require_shape(scores, _SCORES, "scores.json", remedy)
    require_shape(best, _BEST, "best.json", remedy)
    require_agreement(
        {
            "scores.json": {
                "data set": scores["data"],
                "digest of the data": scores["data_digest"],
                "number of studies": scores["num_studies"],
                "run": scores["run"],
            },
            "scores.json, diagnostics": {
                "number of studies": scores["diagnostics"]["num_studies"],
            },
            "predictions.csv": {"number of studies": predictions},
            "the run's best.json": {
                "digest of the data": best["data_digest"],
                "run": best["key"],
            },
            "the run's config.json": {"data set": config["data"]["name"]},
            "the processed data": {
                "data set": summary["name"],
                "digest of the data": summary["digest"],
                "number of studies": summary["splits"][scores["split"]]["studies"],
            },
        }
    )


def overlap_cautions(summary: Mapping[str, Any]) -> list[str]:
    """What splits share that no model should have seen, in sentences; mostly nothing."""
    return [
        f"{summary['problems'][kind]['count']} {what}: they are named in the processed data's"
        " summary.json, and scores may be too high."
        for kind, what in OVERLAPS.items()
        if kind in summary["problems"]
    ]
