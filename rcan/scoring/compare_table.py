"""Two runs compared, as aligned Markdown for a terminal."""

from collections.abc import Mapping
from typing import Any

from rcan.errors import shown
from rcan.evaluation.scores import METRICS
from rcan.scoring.table import noise
from rcan.table import Table, measured, percent

SEEDS = (
    "Noise is that of the studies drawn: another seed of the same training may move a score by"
    " more, so compare several seeds before claiming a difference"
)


def compare_tables(result: Mapping[str, Any]) -> str:
    """What `compare_runs` found; no report text."""
    first, second = result["runs"]
    blocks = [_settings(result)]
    for protocol, found in result["protocols"].items():
        differences = found["difference"]
        blocks.append(
            Table(
                [protocol, first, second, "first - second", "p", "p, Holm", ""],
                [
                    [
                        metric,
                        *(measured(scores[metric]) for scores in found["scores"]),
                        measured(differences[metric], "+.3f"),
                        f"{differences[metric]['p']:.4f}",
                        f"{differences[metric]['p_holm']:.4f}",
                        noise(differences[metric]),
                    ]
                    for metric in METRICS
                    if metric in differences
                ],
            ).markdown()
        )
    return "\n\n".join([*blocks, _controls(result), SEEDS])


def _settings(result: Mapping[str, Any]) -> str:
    if not all(result["settings_known"]):
        return "Settings: not known of both runs"
    if not result["settings"]:
        return "Settings: all that is known is equal"
    rows = [[key, shown(a), shown(b)] for key, (a, b) in result["settings"].items()]
    return Table(["setting", *result["runs"]], rows).markdown()


def _controls(result: Mapping[str, Any]) -> str:
    both = result["controls"]["diagnostics"]
    rows: list[list[object]] = [
        ["different reports", *(f"{d['distinct_reports']} of {d['num_studies']}" for d in both)],
        ["share of the commonest", *(percent(d["top_share"]) for d in both)],
    ]
    for protocol, falls in result["controls"]["image_swap_fall"].items():
        rows.append(
            [
                f"fall of BLEU-4 with another study's images, {protocol}",
                *(measured(fall["BLEU-4"], "+.3f") for fall in falls),
            ]
        )
    return Table(["control", *result["runs"]], rows).markdown()
