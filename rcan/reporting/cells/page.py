"""All that the cells come to, as files: every table, the figures of numbers, and the one page.

The page stands alone: no script, no network, figures inside; light or dark as the reader's machine
is. It has what was run, the ledger of readings, and every command.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from PIL import Image

from rcan.ablation.cells import CONTROLS, FULL
from rcan.evaluation.diagnostics import is_collapsed
from rcan.files import write_text
from rcan.reading import read_bytes, read_text
from rcan.reporting.cells.attention_table import attention_table
from rcan.reporting.cells.controls import controls_table
from rcan.reporting.cells.data_table import data_table
from rcan.reporting.cells.figures import figure_3, figure_5
from rcan.reporting.cells.finding_reports import finding_reports_table
from rcan.reporting.cells.findings import findings_table
from rcan.reporting.cells.scores import scores_sections
from rcan.reporting.cells.study import CONSTANT, SIGNIFICANT, Ablations
from rcan.reporting.cells.systems import TABLES, group_panels, panels, write_systems
from rcan.reporting.figures import as_address
from rcan.reporting.names import data_name, listed
from rcan.reporting.panels_figure import picture_html, told_of
from rcan.reporting.published import rcan_row
from rcan.table import Row, Section, Table, html_environment, measured

# Of the conclusions: of the figure that opens the page, and of the text that the oracle changes.
PROTOCOL = "paper"
ORACLE, PLAIN = "oracle_template", "transformer"  # told the true findings; without the modules
_MEND = "have it back by `git checkout`"
_LEAD_ON = ("link_open", "link_close", "image")  # parts of a line
_AFTER = {"fig3": "table4", "fig5": "fig5"}  # a figure -> the table that it stands behind
_CAPTIONS = {
    "fig3": "Figure 3. The modules on and off, six metrics.",
    "fig5": "Figure 5. Three metrics against λ.",
    "fig4": "Figure 4. Attention over the images for chosen words, models side by side.",
    "fig6": "Figure 6. Case studies: image, reference, and what the models wrote.",
}


@dataclass(frozen=True)
class Places:
    """Where the results of all cells go, and where what the page quotes lies."""

    tables: Path  # numbers and drawings of numbers
    examples: Path  # holds fig4.png and fig6.png, which show images and report text
    pointing: Path  # CSV: Figure 4 as numbers
    page: Path
    ledger: Path  # Markdown: how the paper was read


def write_ablations(ablations: Ablations, places: Places) -> None:
    """Write every table as Markdown, CSV and LaTeX, Figures 3 and 5 as PNG and SVG, those
    of all systems and of groups as SVG for light and dark, the page.

    Raises:
        UserError: the ledger is missing.
    """
    ledger = read_text(places.ledger, "how the paper was read", _MEND)
    apart = {
        "finding_reports": finding_reports_table(ablations),
        "findings": findings_table(ablations),
        "fig4": attention_table(ablations, places.pointing),
    }
    sections = [data_table(ablations), *scores_sections(ablations), controls_table(ablations)]
    sections += filter(None, apart.values())
    for section in sections:
        write_text(places.tables / f"{section.name}.md", section.markdown())
        write_text(places.tables / f"{section.name}.tex", section.latex())
        write_text(places.tables / f"{section.name}.csv", section.csv())
    for name, found in apart.items():
        for stale in places.tables.glob(f"{name}.*") if found is None else ():
            stale.unlink()
    for name, draw in (("fig3", figure_3), ("fig5", figure_5)):
        draw(ablations, places.tables / f"{name}.png")
    figures = {name: places.tables / f"{name}.svg" for name in _AFTER}
    figures |= write_systems(ablations, places.tables)
    shown = {name: places.examples / f"{name}.png" for name in ("fig4", "fig6")}
    write_text(places.page, page(ablations, sections, figures, shown, ledger))


def page(
    ablations: Ablations, sections: Sequence[Section], figures: Mapping[str, Path],
    shown: Mapping[str, Path], ledger: str,
) -> str:  # fmt: skip
    """The page as HTML.

    Args:
        figures: name -> drawing of numbers alone.
        shown: name -> drawing that shows images and report text: only its name is told unless the
            data are drawn ones.
        ledger: Markdown, how the paper was read and what does not agree.
    """
    runs = [run for model in ablations.models.values() for run in model.runs]
    if ablations.data == "demo":
        figures = {**figures, **{name: path for name, path in shown.items() if path.is_file()}}
    rows = [
        Row([run.name, "run" if run.result else "not run", f"`{ablations.command_of(run)}`"],
            "ours" if run.result else "missing")
        for run in runs
    ]  # fmt: skip
    folder = files("rcan.reporting.cells")
    environment = html_environment()
    environment.filters["together"] = listed
    return environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8")).render(
        title=f"RCAN reproduced: {data_name(ablations.data)}, scale {ablations.settings.scale}",
        css=folder.joinpath("page.css").read_text(encoding="utf-8"),
        study=ablations,
        sections=sections,
        about=_about_the_data(ablations),
        conclusions=conclusions(ablations, sections),
        collapsed=_collapsed(ablations),
        tables=[
            table.title.partition(",")[0]
            for name, table in ablations.cells.tables.items() if name in TABLES
        ],
        systems=panels(ablations),
        groups=group_panels(ablations),
        runs=runs,
        seeds=[str(s) for s in sorted({r.seed for r in runs if r.cell not in CONTROLS})],
        pointers=sum(run.place != run.name for run in runs),
        captions=_CAPTIONS,
        picture=picture_html,
        told_of=told_of,
        after=_AFTER,
        drawn={name: _inlined(path) for name, path in figures.items()},
        shown={name: "/".join(path.parts[-3:]) for name, path in shown.items()},
        commands=Table(["run", "state", "command"], rows),
        ledger=document_html(ledger, deeper=1),
    ) + "\n"  # fmt: skip


def _about_the_data(ablations: Ablations) -> str:
    if rcan_row(ablations.data) is None:
        return (
            f"All numbers called ours are of {data_name(ablations.data)}. They say nothing about "
            "the paper's, which stand apart, each under the name of its own data."
        )
    if ablations.settings.scale == "small":
        return (
            "The paper's numbers come from its own data, model and machine, and without an "
            "interval. Scale small is a model far smaller than the paper's: it shows that the "
            "pipeline runs on real X-rays, not what the paper's model can do."
        )
    return "The paper's numbers stand beside ours, and come without an interval."


def conclusions(ablations: Ablations, sections: Sequence[Section]) -> list[tuple[str, str]]:
    """What the rows say in plain words, each with the section that shows it: one constant report
    beside all systems, what it is worth to know the findings, what the paper's modules bring. What
    is not run is left out. BLEU-4; tests are those of the sections, corrected as there."""
    known = {section.name: _bleu(section) for section in sections}
    told = [
        ("table3", _beside_constant(ablations)),
        ("table3", _worth_of_findings(known.get("table3", {}).get(ORACLE, {}))),
        ("table4", _worth_of_modules(known.get("table4", {}))),
    ]
    return [(section, words) for section, words in told if words and section in known]


def _bleu(section: Section) -> dict[str, dict[str, Any]]:
    """Cell -> statistic -> BLEU-4, of the records of a table of scores."""
    found: dict[str, dict[str, Any]] = {}
    for row in section.records:
        owner, _, cell = str(row.get("source", "")).partition(": ")
        if owner == "ours" and row["protocol"] == PROTOCOL:
            found.setdefault(cell, {})[str(row["statistic"])] = row["BLEU-4"]
    return found


def _beside_constant(ablations: Ablations) -> str:
    systems = [
        cell for cell in ablations.cells.of_table("table3")
        if ablations.model(cell).results and not ablations.cells.show(cell).control
    ]  # fmt: skip
    if not systems:
        return ""
    floor = ablations.floors(PROTOCOL)[CONSTANT]["BLEU-4"]
    bleu = {cell: ablations.scores[cell, PROTOCOL]["BLEU-4"] for cell in systems}
    best = max(bleu, key=lambda cell: bleu[cell]["score"])
    higher = sum(value["score"] > floor["score"] for value in bleu.values())
    return (
        f"One report, the same for every study, scores BLEU-4 {measured(floor)} ({PROTOCOL} "
        f"protocol). {higher or 'None'} of {len(systems)} systems score{'s' * (higher < 2)} more. "
        f"The highest is {ablations.title(best)}: {measured(bleu[best])}."
    )


def _worth_of_findings(oracle: Mapping[str, Any]) -> str:
    lead = f"minus {CONSTANT}"
    if lead not in oracle:
        return ""
    way = "more" if oracle[lead] > 0 else "less"
    noise = "" if oracle[f"{lead}, p (Holm)"] < SIGNIFICANT else ", within the noise of studies"
    return (
        "The same report, changed wherever it contradicts the true findings of the study, scores "
        f"{measured(oracle)}: {abs(oracle[lead]):.3f} {way}{noise}."
    )


def _worth_of_modules(cells: Mapping[str, Mapping[str, Any]]) -> str:
    lead = f"minus {PLAIN}"
    leads = {cell: of for cell, of in cells.items() if lead in of}
    if not leads:
        return ""
    beyond = [
        of[lead] for of in leads.values()
        if of[f"{lead}, p (Holm)"] < SIGNIFICANT and abs(of[lead]) > of.get(f"{lead}, sd", 0.0)
    ]  # fmt: skip
    up = sum(difference > 0 for difference in beyond)
    down, num = len(beyond) - up, len(leads)
    several = all(f"{lead}, sd" in of for of in leads.values())
    if list(leads) == [FULL]:
        way = "raise" if up else "lower" if down else "do not change"
        told = f"The paper's modules, together, {way} the Transformer's BLEU-4 beyond the noise"
        return f"{told} of studies. The modules one by one are not run."
    return (
        f"{up or 'None'} of {num} combination{'s' * (num > 1)} of the paper's modules "
        f"raise{'s' * (up < 2)} the Transformer's BLEU-4 beyond the noise of studies"
        f"{' and seeds' * several}; {down or 'none'} lower{'s' * (down < 2)} it."
        f"{'' if several else ' With one seed the noise of seeds is not known.'}"
    )


def _collapsed(ablations: Ablations) -> str:
    same = [r.place for r in ablations.results if is_collapsed(r.scores["diagnostics"])]
    told = "Collapsed: one report for at least half of the studies, or a few for all"
    return f"{told}: {listed(same)}." if same else ""


def _inlined(path: Path) -> str:
    """A figure as an address that holds it; pixels in a tenth of a PNG's bytes."""
    content, kind = read_bytes(path, "a figure", "run `python -m pipeline.tables` again"), "svg+xml"
    if path.suffix == ".png":
        packed, kind = io.BytesIO(), "webp"
        Image.open(io.BytesIO(content)).convert("RGB").save(packed, "WEBP", quality=85)
        content = packed.getvalue()
    return as_address(content, kind)


def document_html(text: str, *, deeper: int = 0) -> str:
    """A document in Markdown as part of the page: its headings so many levels `deeper`, wide tables
    in boxes that scroll, no HTML of its own, and no link or image, for the page stands alone."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = f"h{int(token.tag[1:]) + deeper}"
        if token.type in ("table_open", "td_open", "th_open"):
            token.attrs = {"class": "prose" if token.tag == "table" else "words"}
        token.children = [child for child in token.children or [] if child.type not in _LEAD_ON]
        for child in token.children:
            if child.type == "softbreak":
                child.type, child.content = "text", " "
    drawn = str(reader.renderer.render(tokens, reader.options, {}))
    return drawn.replace("<table", '<div class="wide"><table').replace("</table>", "</table></div>")
