"""A table of scores for programs: one row a system and statistic, the paper's columns last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.wording import command_of
from rcan.reporting.groups import FULL
from rcan.reporting.published import METRICS, num_reports

if TYPE_CHECKING:
    from rcan.reporting.cells.entries import Contents, Entry

Record = dict[str, object]
_OWN = ("score", "sd", "low", "high")
_COMPARED = {"difference": "", "low": ", low", "high": ", high", "sd": ", sd", "p": ", p (Holm)"}

Compared = Mapping[tuple[str, str], Mapping[str, Mapping[str, Mapping[str, float]]]]


def records(ablations: Ablations, contents: Contents, compared: Compared) -> list[Record]:
    """All that the table's parts show of the data at hand, whatever was published among it."""
    rows: list[Record] = []
    for entry in contents.entries:
        keys = dict(zip(contents.columns, entry.keys, strict=True))
        if entry.published:
            about = _about(ablations, "published", num_reports(ablations.data, "test"), "")
            rows.append(
                {**keys, "source": entry.source, **about, "statistic": "score", "seeds": "",
                 **{m: entry.published.get(m) for m in METRICS}, "commit": "", "command": ""}
            )  # fmt: skip
        if entry.cell:
            for protocol in ("paper", "strict"):
                for statistic, values in _statistics(ablations, entry, protocol, compared).items():
                    rows.append(_own(ablations, entry, keys, protocol, statistic, values))
    blank = dict.fromkeys(contents.columns, "")
    for protocol in ("paper", "strict"):
        for floor, of_floor in ablations.floors(protocol).items():
            for statistic in ("score", "low", "high"):
                about = _about(ablations, protocol, ablations.num_studies)
                rows.append(
                    {**blank, "source": f"floor: {floor}", **about, "statistic": statistic,
                     "seeds": "", **{m: round(of_floor[m][statistic], 6) for m in METRICS},
                     "commit": ablations.settings.commit, "command": ablations.settings.command}
                )  # fmt: skip
    return rows


def _about(
    ablations: Ablations, protocol: str, studies: int | None, scale: str | None = None
) -> Record:
    return {
        "data": ablations.data,
        "scale": ablations.settings.scale if scale is None else scale,
        "split": "test",
        "studies": studies,
        "protocol": protocol,
    }


def _own(
    ablations: Ablations, entry: Entry, keys: Mapping[str, str], protocol: str, statistic: str,
    values: Mapping[str, float | None],
) -> Record:  # fmt: skip
    model = ablations.model(entry.cell or "")
    commands = dict.fromkeys(command_of(ablations, run) for run in model.done or model.runs)
    return {
        **keys,
        "source": f"ours: {entry.cell}",
        **_about(ablations, protocol, ablations.num_studies),
        "statistic": statistic,
        "seeds": " ".join(str(run.seed) for run in model.done),
        **{metric: values.get(metric) for metric in METRICS},
        "commit": ablations.settings.commit if model.done else "",
        "command": "; ".join(commands),
    }


def _statistics(
    ablations: Ablations, entry: Entry, protocol: str, compared: Compared
) -> dict[str, dict[str, float | None]]:
    """statistic -> metric -> number, for the statistics that there are."""
    cell = entry.cell or ""
    scores = ablations.scores.get((cell, protocol))
    if not scores:
        return {"not run": {}}
    found: dict[str, dict[str, float | None]] = {
        key: {metric: round(scores[metric][key], 6) for metric in METRICS}
        for key in _OWN
        if key in scores["BLEU-4"]
    }
    if entry.published and protocol == "paper":
        found["minus paper"] = {
            metric: round(scores[metric]["score"] - printed, 6)
            for metric, printed in entry.published.items()
            if printed is not None
        }
    for (base, of_protocol), leads in compared.items():
        if of_protocol == protocol and cell in leads:
            of_cell, name = leads[cell], "full" if base == FULL else base
            for key, ending in _COMPARED.items():
                if key in of_cell["BLEU-4"]:
                    found[f"minus {name}{ending}"] = {
                        metric: round(of_cell[metric][key], 6) for metric in METRICS
                    }
    return found
