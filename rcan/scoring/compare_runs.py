"""Two runs side by side: what was set differently, and whether their scores differ beyond noise.

Its tables are Markdown that lines up in a terminal.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rcan.errors import UserError, shown
from rcan.evaluation.controls import swap
from rcan.evaluation.scores import METRICS, Scores, score_systems
from rcan.evaluation.statistics import difference, intervals
from rcan.scoring.evaluated_runs import Run, as_predictions, find_run, read_run
from rcan.scoring.references import Cleaner
from rcan.scoring.score_reports import compared, noise
from rcan.table import Table, measured, percent

GIVEN = "as given"  # the protocol of references that a table of predictions brings
SEEDS = (
    "Noise is that of the studies drawn: another seed of the same training may move a score by"
    " more, so compare several seeds before claiming a difference"
)


def compare_runs(
    names: tuple[str, str],
    root: Path | None,
    cleaner: Cleaner,
    *,
    resamples: int,
    seed: int,
    meteor: bool = True,
    java: str | Path | None = None,
) -> dict[str, Any]:
    """Compare the first run with the second.

    Where both have counts nothing is scored anew, under each protocol; else predictions are, as
    they stand beside their references.

    Returns:
        `runs`: their names; `data`; `num_studies`; `settings`: key -> both values, where they
        differ; `protocols`: protocol -> `scores` of both and `difference`, the first minus the
        second, per metric, with `p` and `p_holm`; `controls`: `diagnostics` of both and
        `image_swap_fall`: protocol -> metric -> of both.

    Raises:
        UserError: a run that is not there, or runs of different data or references.
    """
    paths = [find_run(name, root) for name in names]
    runs = [read_run(name, path, cleaner) for name, path in zip(names, paths, strict=True)]
    if any(run.counts for run in runs) and not all(run.counts for run in runs):
        runs = [
            as_predictions(run, path, cleaner) if run.counts else run
            for run, path in zip(runs, paths, strict=True)
        ]
    first, second = runs
    if first.data and second.data and first.data != second.data:
        raise UserError(
            f"expected two runs on one data set; {first.name} is on {first.data}, {second.name} on"
            f" {second.data}; compare runs on the same data"
        )
    options = {"resamples": resamples, "seed": seed}
    if first.counts:
        scored, falls = (first.counts, second.counts), (first.falls, second.falls)
    else:
        scored, falls = _scored(first, second, meteor=meteor, java=java, **options)
    protocols: dict[str, Any] = {}
    for protocol, of_first in scored[0].items():
        of_second = scored[1][protocol]
        _require_same(first, second, of_first, of_second)
        protocols[protocol] = {
            "scores": [intervals(each, **options) for each in (of_first, of_second)],
            "difference": compared(of_first, {"second": of_second}, **options)["second"],
        }
    return {
        "runs": list(names),
        "data": first.data or second.data,
        "num_studies": int(first.diagnostics["num_studies"]),
        **options,
        "settings": _differing(first.settings, second.settings),
        "settings_known": [bool(run.settings) for run in runs],
        "protocols": protocols,
        "controls": {
            "diagnostics": [dict(run.diagnostics) for run in runs],
            "image_swap_fall": {
                protocol: [fall[protocol] for fall in falls]
                for protocol in protocols
                if all(protocol in fall for fall in falls)
            },
        },
    }


def _require_same(first: Run, second: Run, of_first: Scores, of_second: Scores) -> None:
    if len(of_first) != len(of_second) or of_first.references != of_second.references:
        raise UserError(
            f"expected two runs scored against the same references; {first.name} has"
            f" {len(of_first)} studies, {second.name} {len(of_second)}, and their references"
            " differ; compare runs on the same data and split"
        )


def _scored(
    first: Run, second: Run, *, meteor: bool, java: str | Path | None, resamples: int, seed: int
) -> tuple[tuple[dict[str, Scores], dict[str, Scores]], tuple[dict[str, Any], dict[str, Any]]]:
    """Scores of both, and their falls, with a single start of Java."""
    if set(first.ids) != set(second.ids):
        unlike = len(set(first.ids) ^ set(second.ids))
        raise UserError(
            f"expected two runs on the same studies; {first.name} has {len(first.ids)},"
            f" {second.name} {len(second.ids)}, and {unlike} are in one alone; compare runs on the"
            " same data and split"
        )
    place = {name: number for number, name in enumerate(second.ids)}
    order = [place[name] for name in first.ids]
    references = [second.references[number] for number in order]
    if references != first.references:
        unlike = sum(a != b for a, b in zip(references, first.references, strict=True))
        raise UserError(
            f"expected two runs with the same references; {unlike} of {len(references)} differ;"
            " compare runs scored under one protocol"
        )
    written = [first.predictions, [second.predictions[number] for number in order]]
    systems = [(texts, references) for texts in (*written, *map(swap, written))]
    a, b, *swapped = score_systems(systems, meteor=meteor, java=java)
    falls = [
        difference(own, other, resamples=resamples, seed=seed)
        for own, other in zip((a, b), swapped, strict=True)
    ]
    return ({GIVEN: a}, {GIVEN: b}), ({GIVEN: falls[0]}, {GIVEN: falls[1]})


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Key -> both values (None where a run does not have it), if both runs tell of settings."""
    if not a or not b:
        return {}
    return {key: [a.get(key), b.get(key)] for key in sorted({*a, *b}) if a.get(key) != b.get(key)}


def compare_tables(result: Mapping[str, Any]) -> str:
    """What `compare_runs` found; no report text."""
    first, second = result["runs"]
    blocks = [_settings_table(result)]
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
    return "\n\n".join([*blocks, _controls_table(result), SEEDS])


def _settings_table(result: Mapping[str, Any]) -> str:
    if not all(result["settings_known"]):
        return "Settings: not known of both runs"
    if not result["settings"]:
        return "Settings: all that is known is equal"
    rows = [[key, shown(a), shown(b)] for key, (a, b) in result["settings"].items()]
    return Table(["setting", *result["runs"]], rows).markdown()


def _controls_table(result: Mapping[str, Any]) -> str:
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
