"""A table of scores for programs: one row a system and statistic, the paper's columns last."""

from collections.abc import Mapping, Sequence

from rcan.ablation.cells import FULL
from rcan.reporting.cells.listings import Line, Listing
from rcan.reporting.cells.study import Ablations, Values
from rcan.reporting.published import METRICS, num_reports

Record = dict[str, object]
_OWN = ("score", "sd", "low", "high")
_COMPARED = {"difference": "", "low": ", low", "high": ", high", "sd": ", sd", "p": ", p (Holm)"}

Compared = Mapping[tuple[str, str], Mapping[str, Values]]
Firsts = Mapping[str, Sequence[Mapping[str, float]]]  # protocol -> `Ablations.firsts`
_FIRST = ("first of systems", "first of all rows")


def records(
    ablations: Ablations, listing: Listing, compared: Compared, firsts: Firsts
) -> list[Record]:
    """All that the table's parts show of the data at hand, whatever was published among it."""
    rows: list[Record] = []
    for line in listing.lines:
        keys = dict(zip(listing.columns, line.own_keys, strict=True))
        if line.published:
            about = {
                **ablations.about("published", num_reports(ablations.data, "test")),
                "scale": "",
            }
            theirs = dict(zip(listing.columns, line.keys, strict=True))
            rows.append(
                {**theirs, "source": line.source, **about, "statistic": "score", "seeds": "",
                 **{m: line.published.get(m) for m in METRICS}, "commit": "", "command": ""}
            )  # fmt: skip
        if line.cell:
            for protocol in ("paper", "strict"):
                told = _statistics(ablations, line, protocol, compared)
                for statistic, values in (told | _first(firsts, line.cell, protocol)).items():
                    rows.append(_own(ablations, line, keys, protocol, statistic, values))
    blank = dict.fromkeys(listing.columns, "")
    for protocol in ("paper", "strict"):
        for floor, of_floor in ablations.floors(protocol).items():
            told = {
                statistic: {m: round(of_floor[m][statistic], 6) for m in METRICS}
                for statistic in ("score", "low", "high")
            }
            for statistic, values in (told | _first(firsts, floor, protocol)).items():
                about = ablations.about(protocol)
                rows.append(
                    {**blank, "source": f"floor: {floor}", **about, "statistic": statistic,
                     "seeds": "", **{m: values.get(m) for m in METRICS},
                     "commit": ablations.settings.commit, "command": ablations.settings.command}
                )  # fmt: skip
    return rows


def _first(firsts: Firsts, name: str, protocol: str) -> dict[str, dict[str, float | None]]:
    """How often a cell or floor ranks first, in BLEU-4 alone."""
    pairs = zip(_FIRST, firsts[protocol], strict=True)
    return {told: {"BLEU-4": round(shares[name], 6)} for told, shares in pairs if name in shares}


def _own(
    ablations: Ablations, line: Line, keys: Mapping[str, str], protocol: str, statistic: str,
    values: Mapping[str, float | None],
) -> Record:  # fmt: skip
    model = ablations.model(line.cell or "")
    commands = dict.fromkeys(ablations.command_of(run) for run in model.done or model.runs)
    return {
        **keys,
        "source": f"ours: {line.cell}",
        **ablations.about(protocol),
        "statistic": statistic,
        "seeds": " ".join(str(run.seed) for run in model.done),
        **{metric: values.get(metric) for metric in METRICS},
        "commit": ablations.settings.commit if model.done else "",
        "command": "; ".join(commands),
    }


def _statistics(
    ablations: Ablations, line: Line, protocol: str, compared: Compared
) -> dict[str, dict[str, float | None]]:
    """statistic -> metric -> number, for the statistics that there are."""
    cell = line.cell or ""
    scores = ablations.scores.get((cell, protocol))
    if not scores:
        return {"not run": {}}
    found: dict[str, dict[str, float | None]] = {
        key: {metric: round(scores[metric][key], 6) for metric in METRICS}
        for key in _OWN
        if key in scores["BLEU-4"]
    }
    if line.published and protocol == "paper":
        found["minus paper"] = {
            metric: round(scores[metric]["score"] - printed, 6)
            for metric, printed in line.published.items()
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
