"""Scores of anybody's reports as aligned Markdown: read in a terminal, kept as table.md."""

from collections.abc import Mapping
from typing import Any

from rcan.evaluation.diagnostics import verdict
from rcan.evaluation.scores import METRICS
from rcan.table import Table, measured, percent

FLOORS = {"most_frequent": "most frequent report", "best_constant": "best constant report"}
FEW = 30  # studies
NO_FLOOR = (
    "No floor: without train reports nobody can say what one report for every study would score;"
    " give them by --train (R2Gen's annotation.json, or a file of reports)"
)


def score_tables(result: Mapping[str, Any]) -> str:
    """What `score_reports` found: a table a protocol, comparisons, diagnostics, signature. No
    report text."""
    blocks = [
        _protocol(result, protocol, systems) for protocol, systems in result["protocols"].items()
    ]
    for name, by_protocol in result.get("against", {}).items():
        blocks += [_against(name, protocol, found) for protocol, found in by_protocol.items()]
    blocks.append(_diagnostics(result["diagnostics"], result.get("floors")))
    if result["num_studies"] < FEW:
        blocks.append(f"Few studies: an interval over fewer than {FEW} is not to be trusted")
    if "floors" not in result:
        blocks.append(NO_FLOOR)
    blocks.append(
        f"{result['signature']}; {result['resamples']} resamples, seed {result['seed']}; text:"
        f" {result['text']}" + _words_told(result)
    )
    return "\n\n".join(blocks)


def noise(found: Mapping[str, float]) -> str:
    """Whether a paired difference is more than the choice of studies would make."""
    p = found.get("p_holm", found["p"])
    beyond = (found["low"] > 0 or found["high"] < 0) and p <= 0.05
    return "beyond noise" if beyond else "within noise"


def _protocol(result: Mapping[str, Any], protocol: str, systems: Mapping[str, Any]) -> str:
    floors = {floor: told for floor, told in FLOORS.items() if floor in systems["floors"]}
    fall = result["controls"]["image_swap"][protocol]["fall"]
    head = [protocol, "score [95 % interval]", *floors.values()]
    head += ["beats the floor"] if floors else []
    head.append("with another study's report")
    rows = []
    for metric in (metric for metric in METRICS if metric in systems["model"]):
        cells: list[object] = [metric, measured(systems["model"][metric])]
        cells += [measured(systems["floors"][floor][metric]) for floor in floors]
        if floors:
            lead = result["beats_floor"][protocol][metric]
            word = "yes" if lead["low"] > 0 else "no" if lead["high"] < 0 else "within noise"
            cells.append(f"{word} ({lead['difference']:+.3f})")
        cells.append(f"{0 - fall[metric]['difference']:+.3f}")
        rows.append(cells)
    return Table(head, rows).markdown()


def _against(name: str, protocol: str, found: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            metric,
            measured(found[metric], "+.3f"),
            f"{found[metric]['p']:.4f}",
            f"{found[metric]['p_holm']:.4f}",
            noise(found[metric]),
        ]
        for metric in METRICS
        if metric in found
    ]
    return Table(
        [f"{protocol}, minus {name}", "difference [95 % interval]", "p", "p, Holm", ""], rows
    ).markdown()


def _diagnostics(found: Mapping[str, float], floors: object) -> str:
    copied = ""
    if "copied_from_train" in found:
        copied = f"{percent(found['copied_from_train'], 0)} word for word from train; "
    fitted = ""
    if isinstance(floors, Mapping) and floors["best_constant"]["chosen_on"] == "train":
        fitted = "\nbest constant report: chosen on train, for no validation reports were given"
    return (
        f"{verdict(dict(found))}\n{found['distinct_reports']} different reports, the commonest"
        f" for {percent(found['top_share'])} of the studies; {copied}{found['mean_length']:.1f}"
        f" words on average, {found['reference_mean_length']:.1f} in the references{fitted}"
    )


def _words_told(result: Mapping[str, Any]) -> str:
    if "paper" not in result["protocols"]:
        return ""
    return (
        f"; paper: references cut to {result['max_length'] - 1} words, words seen fewer than"
        f" {result['min_freq']} times in train are <unk>"
    )
