"""What `rcan.reporting.beside` found, as tables: a reader's row among the published ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rcan.data.sets import TITLES
from rcan.evaluation.scores import METRICS
from rcan.scoring.rexrank import NAME
from rcan.scoring.score_reports import noise
from rcan.table import (
    NONE,
    Row,
    Table,
    Value,
    interval,
    mean_of,
    measured,
    number,
    percent,
)

ORDERED_BY = "BLEU-4"
MINE = "mine"
_OF_PROTOCOL = {"paper": "references cut, rare words <unk>", "strict": "whole references"}


def beside_tables(result: Mapping[str, Any], name: str) -> list[Table]:
    """All tables, the protocol `paper` first; `name`: how the reader's row is called.

    `result`: what `score_reports` returns, with `beside` (see `place_among`), `rexrank` and, where
    labels are at hand, `findings`.
    """
    beside = result["beside"]
    of_data = TITLES.get(beside["data"], beside["data"])
    scope = f"{of_data}, {beside['split']} split, {result['num_studies']} studies"
    first, *others = sorted(beside["minus"])  # paper, strict
    tables = [
        _scores(result, name, first, scope),
        _signs(result, name, first, scope),
        _minus(beside, first, scope),
        _places(beside, name, first, scope),
    ]
    for protocol in others:
        more = (
            _scores(result, name, protocol, scope),
            _minus(beside, protocol, scope),
            _places(beside, name, protocol, scope),
        )
        tables += [replace(table, folded=True) for table in more]
    return tables


def briefly(table: Table) -> str:
    """For a terminal: without small print."""
    rows = [[getattr(cell, "main", cell) for cell in row] for row in table.rows]
    return f"{table.title}\n\n{Table(table.columns, rows).markdown()}"


def told_in_words(result: Mapping[str, Any], name: str) -> list[str]:
    """The place, the tests and the likeness to a published run, a line each."""
    beside = result["beside"]
    lines = []
    for protocol, places in sorted(beside["places"].items()):
        place = places[ORDERED_BY]
        minus = beside["minus"][protocol]
        better, worse = (
            [
                row for row, of in minus.items()
                if noise(of[ORDERED_BY]).startswith("beyond")
                and (of[ORDERED_BY]["difference"] > 0) == above
            ]
            for above in (True, False)
        )  # fmt: skip
        lines.append(
            f"{protocol}: {name} is {place['place']['']} of {len(place['place'])} by {ORDERED_BY},"
            f" first in {percent(place['first'][''])} of the draws;"
            f" beyond noise above {len(better)} rows, below {len(worse)}, of {len(minus)}"
        )
    if beside["same_counts"]:
        run, num = max(beside["same_counts"].items(), key=lambda one: one[1])
        if num == result["num_studies"]:
            lines.append(f"Every study has the counts of {run}: the same reports, or their like")
    if "findings" not in result:
        lines.append(
            "Findings F1: not computed, for no labels are at hand: name Kaggle's"
            " indiana_reports.csv by --labels"
        )
    return lines


def ordered(result: Mapping[str, Any], protocol: str) -> dict[str, int]:
    """Row -> its place by score, which equals share; the reader's under the name ""."""
    places: dict[str, int] = result["beside"]["places"][protocol][ORDERED_BY]["place"]
    return places


def _scores(result: Mapping[str, Any], name: str, protocol: str, scope: str) -> Table:
    rows, own = [], result["protocols"][protocol]["model"]
    metrics = [metric for metric in METRICS if metric in own]
    for row, place in ordered(result, protocol).items():
        if not row:
            mine = [measured(own[metric]) for metric in metrics]
            rows.append(Row([f"→ {place}. {name}", "1 run", *mine], MINE))
            continue
        held = result["beside"]["rows"][row]
        values = [mean_of(held["scores"][protocol][m], _three) for m in metrics]
        rows.append(Row([f"{place}. {held['title']}", _seeds(held), *values], _kind(held)))
    return Table(
        ["row", "runs", *metrics],
        rows,
        title=f"Scores, {protocol} protocol ({_OF_PROTOCOL[protocol]})",
        caption=f"{scope}. Ordered by {ORDERED_BY}. A published row is the mean over seeds ± their "
        "standard deviation; yours has its 95 % interval over studies.",
    )


def _signs(result: Mapping[str, Any], name: str, protocol: str, scope: str) -> Table:
    own, num = result["diagnostics"], result["num_studies"]
    found = result.get("findings", {}).get("model", {}).get("macro", {}).get("f1")
    copied = own.get("copied_from_train")
    fall = result["controls"]["image_swap"][protocol]["fall"][ORDERED_BY]
    rows = []
    for row in ordered(result, protocol):
        if not row:
            cells = [
                measured(found) if found else Value(NONE),
                Value(f"{own['distinct_reports']}", f"of {num}"),
                Value(percent(own["top_share"])),
                Value(NONE if copied is None else percent(copied)),
                measured(fall, "+.3f", minus="−"),
                measured(result["rexrank"]) if result.get("rexrank") else Value(NONE),
            ]
            rows.append(Row([f"→ {name}", *cells], MINE))
            continue
        held = result["beside"]["rows"][row]
        cells = [mean_of(held["finding_f1"], _three), mean_of(held["distinct_reports"], _whole)]
        cells += [mean_of(held[key], percent) for key in ("top_share", "copied_from_train")]
        cells.append(mean_of(held["fall"][protocol], lambda x: f"{x:+.3f}".replace("-", "−")))
        cells.append(mean_of(held["rexrank"], _three))
        if held["floor"]:
            cells[1:3] = [Value("1", f"of {num}"), Value(percent(1))]
            cells[4] = Value("0.000")
        rows.append(Row([held["title"], *cells], _kind(held)))
    return Table(
        ["row", "findings F1", "different reports", "commonest", "copied", "fall", NAME],
        rows,
        title="Signs of collapse, findings, ReXrank's score",
        caption=f"{scope}. Findings F1: the mean over findings. One or a few reports for all "
        "studies: collapsed, whatever the scores. Copied: word for word from train. Fall: what "
        f"{ORDERED_BY} loses when each study gets another one's report, {protocol} protocol. "
        f"{NAME}: the mean of each study's BLEU-2 on texts as they are given, as ReXrank computes "
        "it, for its table of findings on IU X-ray.",
    )


def _minus(beside: Mapping[str, Any], protocol: str, scope: str) -> Table:
    rows = []
    minus = beside["minus"][protocol]
    order = sorted(minus, key=lambda name: minus[name][ORDERED_BY]["difference"])
    for row in order:
        found = minus[row]
        values = [_lead(found[metric]) for metric in METRICS if metric in found]
        held = beside["rows"][row]
        rows.append(Row([held["title"], *values], _kind(held)))
    metrics = [metric for metric in METRICS if order and metric in minus[order[0]]]
    return Table(
        ["yours minus", *metrics],
        rows,
        title=f"Your row minus each other, {protocol} protocol; * beyond noise",
        caption=f"{scope}. 95 % interval by a paired bootstrap over studies; p of approximate "
        f"randomisation, corrected (Holm) for the {len(rows) * len(metrics)} tests of this table. "
        "`*`: the interval leaves out 0 and p is at most 0.05. That is the noise of studies; what "
        "another seed of yours would score, one run does not tell.",
    )


def _lead(found: Mapping[str, float]) -> Value:
    star = "*" if noise(found).startswith("beyond") else ""
    told = number(found["difference"], "+.3f", minus="−").main
    return Value(f"{told}{star}", f"{interval(found, '+.3f', minus='−')}; p {found['p_holm']:.3f}")


def _places(beside: Mapping[str, Any], name: str, protocol: str, scope: str) -> Table:
    rows = []
    for metric, found in beside["places"][protocol].items():
        best, share = max(found["first"].items(), key=lambda one: one[1])
        best = beside["rows"][best]["title"] if best else name
        cells = [
            Value(f"{found['place']['']} of {len(found['place'])}"),
            Value(percent(found["first"][""])),
            Value(best, percent(share)),
        ]
        rows.append([metric, *cells])
    return Table(
        ["score", "your place", "first in draws", "most often first"],
        rows,
        title=f"Places, {protocol} protocol",
        caption=f"{scope}. Draws of a bootstrap over studies, the same for all rows, each row with "
        "one of its seeds drawn by chance. Rows that are equal share a draw.",
    )


def _three(score: float) -> str:
    return f"{score:.3f}"


def _whole(count: float) -> str:
    return f"{count:.0f}"


def _kind(row: Mapping[str, Any]) -> str:
    return "floor" if row["floor"] else "ours"


def _seeds(row: Mapping[str, Any]) -> str:
    num = len(row["runs"])
    return NONE if row["floor"] else f"{num} seed{'s' * (num > 1)}"
