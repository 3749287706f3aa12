"""A page that stands alone: a reader's row among the published ones, as a figure and in tables."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from rcan.evaluation.schema import FLOOR_NAMES
from rcan.reporting.beside import Published, PublishedRow
from rcan.reporting.beside_tables import ORDERED_BY, ordered
from rcan.reporting.panels import F1, FALL, OF_F1, OVERLAP, Panel, System, f1_of, fall_of, point_of
from rcan.reporting.panels_figure import addresses, picture_html, told_of
from rcan.table import Section, Table, html_environment


def beside_page(
    title: str, lines: Sequence[str], tables: Sequence[Table], panels: Sequence[Panel]
) -> str:
    """The page as HTML: a figure, what is said in words, then the tables; it holds no report."""
    css = files("rcan.reporting.cells").joinpath("page.css").read_text(encoding="utf-8")
    page = files("rcan.reporting").joinpath("beside.html").read_text(encoding="utf-8")
    section = Section("beside", "Among the published rows", tables)
    return html_environment().from_string(page).render(
        title=title,
        css=css,
        lines=lines,
        section=section,
        picture=picture_html(addresses(panels), "", ". ".join(panel.words for panel in panels)),
        caption=told_of(panels),
    ) + "\n"  # fmt: skip


def beside_panels(result: Mapping[str, Any], name: str, published: Published) -> list[Panel]:
    """The panels that open the page: rows in the tables' order, controls last, the best constant
    report as the line. Of several seeds, the interval is the mean of the seeds' own."""
    first, *_ = protocols = sorted(result["beside"]["minus"])  # paper, strict
    rows = {row.name: row for row in published.rows}
    constant = rows.get(FLOOR_NAMES["best_constant"])
    places = ordered(result, first)

    def panel(
        title: str, unit: str, line: float | None,
        read: Callable[[PublishedRow | None], Sequence[Mapping[str, Any]]],
    ) -> Panel:  # fmt: skip
        points = {}
        for key in places:
            row = rows[key] if key else None
            if (row is None or not row.is_floor) and (point := point_of(read(row))):
                points[_system(row, name)] = point
        return Panel(title, unit, points, line)

    found = [
        panel(
            metric, f"{first} protocol",
            constant.counts[constant.name][first].corpus[metric] if constant else None,
            partial(_overlap, result, first, metric),
        )
        for metric in OVERLAP
    ]  # fmt: skip
    found += [
        panel(
            FALL, f"{ORDERED_BY}, {protocols[-1]} protocol", 0.0 if constant else None,
            lambda row: [fall_of(of, protocols[-1]) for of in (row.scores if row else [result])],
        ),
        panel(
            F1, OF_F1, next(iter(constant.f1), None) if constant else None,
            lambda row: [f1_of(of) for of in (row.scores if row else [result])],
        ),
    ]  # fmt: skip
    return [one for one in found if one.points]


def _system(row: PublishedRow | None, name: str) -> System:
    if row is None:
        return System(name, mine=True)
    return System(row.title, row.shown.control, row.shown.colour)


def _overlap(
    result: Mapping[str, Any], protocol: str, metric: str, row: PublishedRow | None
) -> list[Mapping[str, Any]]:
    """Of each run the score by its counts, as in the tables, and the interval that it is told with;
    without a row, the reader's own."""
    if row is None:
        return [result["protocols"][protocol]["model"][metric]]
    found: list[Mapping[str, Any]] = []
    for counts, scores in zip(row.counts.values(), row.scores, strict=True):
        told = scores.get("protocols", {}).get(protocol, {}).get("model", {}).get(metric, {})
        found.append({**told, "score": counts[protocol].corpus[metric]})
    return found
