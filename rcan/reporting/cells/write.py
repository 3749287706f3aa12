"""All tables and figures of the cells, and the page, as files."""

from dataclasses import dataclass
from pathlib import Path

from rcan.files import write_text
from rcan.reading import read_text
from rcan.reporting.cells.controls import controls_table
from rcan.reporting.cells.figures import figure_3, figure_5
from rcan.reporting.cells.findings import findings_table
from rcan.reporting.cells.page import page
from rcan.reporting.cells.pointing import pointing_table
from rcan.reporting.cells.scores import scores_sections
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.table2 import data_table

_MEND = "have it back by `git checkout`"


@dataclass(frozen=True)
class Places:
    """Where the results of all cells go, and where what the page quotes lies."""

    tables: Path  # numbers and drawings of numbers
    examples: Path  # holds fig4.png and fig6.png, which show images and report text
    pointing: Path  # CSV: Figure 4 as numbers
    page: Path
    ledger: Path  # Markdown: how the paper was read


def write_ablations(ablations: Ablations, places: Places) -> None:
    """Write every table as Markdown, CSV and LaTeX, Figures 3 and 5 as PNG and SVG, the page.

    Raises:
        UserError: the ledger is missing.
    """
    ledger = read_text(places.ledger, "how the paper was read", _MEND)
    apart = (findings_table(ablations), pointing_table(ablations, places.pointing))
    tables = [
        data_table(ablations),
        *scores_sections(ablations),
        controls_table(ablations),
        *filter(None, apart),
    ]
    for table in tables:
        for kind, text in (
            ("md", table.markdown()), ("tex", table.latex()), ("csv", table.csv()),
        ):  # fmt: skip
            write_text(places.tables / f"{table.name}.{kind}", text)
    for name, table_apart in zip(("findings", "fig4"), apart, strict=True):
        for stale in places.tables.glob(f"{name}.*") if table_apart is None else ():
            stale.unlink()
    figures = {}
    for name, draw in (("fig3", figure_3), ("fig5", figure_5)):
        draw(ablations, places.tables / f"{name}.png")
        figures[name] = places.tables / f"{name}.svg"
    shown = {name: places.examples / f"{name}.png" for name in ("fig4", "fig6")}
    write_text(places.page, page(ablations, tables, figures, shown, ledger))
