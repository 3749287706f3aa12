"""Scores of anybody's reports as aligned Markdown: read in a terminal, kept as table.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from rcan.evaluation.diagnostics import verdict
from rcan.evaluation.scores import METRICS

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


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are as wide as their widest cell; all but the first stand right."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (head, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def interval_of(value: Mapping[str, float], form: str = ".3f") -> str:
    """`0.186 [0.171, 0.201]`."""
    middle = value["score"] if "score" in value else value["difference"]
    return f"{middle:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


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
        cells = [metric, interval_of(systems["model"][metric])]
        cells += [interval_of(systems["floors"][floor][metric]) for floor in floors]
        if floors:
            lead = result["beats_floor"][protocol][metric]
            word = "yes" if lead["low"] > 0 else "no" if lead["high"] < 0 else "within noise"
            cells.append(f"{word} ({lead['difference']:+.3f})")
        cells.append(f"{0 - fall[metric]['difference']:+.3f}")
        rows.append(cells)
    return markdown_table(head, rows)


def _against(name: str, protocol: str, found: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            metric,
            interval_of(found[metric], "+.3f"),
            f"{found[metric]['p']:.4f}",
            f"{found[metric]['p_holm']:.4f}",
            noise(found[metric]),
        ]
        for metric in METRICS
        if metric in found
    ]
    return markdown_table(
        [f"{protocol}, minus {name}", "difference [95 % interval]", "p", "p, Holm", ""], rows
    )


def _diagnostics(found: Mapping[str, float], floors: object) -> str:
    copied = ""
    if "copied_from_train" in found:
        copied = f"{100 * found['copied_from_train']:.0f} % word for word from train; "
    fitted = ""
    if isinstance(floors, Mapping) and floors["best_constant"]["chosen_on"] == "train":
        fitted = "\nbest constant report: chosen on train, for no validation reports were given"
    return (
        f"{verdict(dict(found))}\n{found['distinct_reports']} different reports, the commonest"
        f" for {100 * found['top_share']:.1f} % of the studies; {copied}{found['mean_length']:.1f}"
        f" words on average, {found['reference_mean_length']:.1f} in the references{fitted}"
    )


def _words_told(result: Mapping[str, Any]) -> str:
    if "paper" not in result["protocols"]:
        return ""
    return (
        f"; paper: references cut to {result['max_length'] - 1} words, words seen fewer than"
        f" {result['min_freq']} times in train are <unk>"
    )
