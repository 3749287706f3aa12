"""A page of somebody's predictions among the published rows; it stands alone as the others do."""

from collections.abc import Sequence
from importlib.resources import files

from rcan.table import Section, Table, html_environment


def beside_page(title: str, lines: Sequence[str], tables: Sequence[Table]) -> str:
    """The page as HTML: what is said in words, then the tables; it holds no report."""
    css = files("rcan.reporting.cells").joinpath("page.css").read_text(encoding="utf-8")
    page = files("rcan.reporting").joinpath("beside.html").read_text(encoding="utf-8")
    section = Section("beside", "Among the published rows", tables)
    return html_environment().from_string(page).render(
        title=title, css=css, lines=lines, section=section
    ) + "\n"  # fmt: skip
