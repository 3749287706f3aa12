"""A table as data, and the same as Markdown, LaTeX (booktabs), CSV and HTML.

A row says of what kind it is; its first cells say it in words too, so that no format loses it.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rcan.files import write_csv, write_text
from rcan.reporting.tables import markdown_table


@dataclass(frozen=True)
class Score:
    """A number, and in small print what qualifies it; a "; " there may end a line."""

    main: str
    sub: str = ""

    def __str__(self) -> str:
        return f"{self.main} {self.sub}".strip()


Cell = str | Score


@dataclass(frozen=True)
class Row:
    """`kind`: ours | paper | cited | floor | control | missing."""

    cells: Sequence[Cell]
    kind: str = "ours"


@dataclass(frozen=True)
class Part:
    """One grid with its caption, which names data, split and protocol."""

    title: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Row]
    folded: bool = False  # on the page: shown when asked for


@dataclass(frozen=True)
class Table:
    """A table of the paper, in one or more parts."""

    name: str  # of its files
    title: str
    parts: Sequence[Part]
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, object]] = field(default=(), repr=False)  # for the CSV


def write_table(table: Table, out: Path) -> None:
    """Write `out`/<name>.md, .tex and .csv."""
    write_text(out / f"{table.name}.md", markdown(table))
    write_text(out / f"{table.name}.tex", latex(table))
    write_csv(out / f"{table.name}.csv", table.records)


def markdown(table: Table) -> str:
    blocks = [f"# {table.title}"]
    for part in table.parts:
        rows = [[str(cell) for cell in row.cells] for row in part.rows]
        blocks += [f"## {part.title}", part.caption, markdown_table(part.head, rows).rstrip("\n")]
    if table.notes:
        blocks += ["## Notes", "\n".join(f"- {note}" for note in table.notes)]
    return "\n\n".join(blocks) + "\n"


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "λ": r"$\lambda$", "τ": r"$\tau$", "✓": r"\checkmark{}",
    "×": r"$\times$", "→": r"$\rightarrow$", "≥": r"$\geq$", "–": "--", "…": r"\ldots{}",
    "·": r"$\cdot$", "`": "", "²": r"$^2$", "†": r"$^\dagger$", "<": "$<$", ">": "$>$", "|": "$|$",
}  # fmt: skip


def latex(table: Table) -> str:
    """One table environment a part; it wants the packages booktabs and amssymb."""
    lines = [f"% {_ascii(table.title)}; \\usepackage{{booktabs,amssymb,graphicx}}"]
    for part in table.parts:
        columns = "l" * _text_columns(part) + "r" * (len(part.head) - _text_columns(part))
        lines += [
            r"\begin{table}",
            f"\\caption{{{_tex(table.title)}: {_tex(part.title)}. {_tex(part.caption)}}}",
            r"\resizebox{\textwidth}{!}{%",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_tex, part.head)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_tex_cell, row.cells)) + r" \\" for row in part.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    if table.notes:
        items = [f"\\item {_tex(note)}" for note in table.notes]
        lines += [r"\begin{itemize}", *items, r"\end{itemize}"]
    return "\n".join(lines) + "\n"


def _text_columns(part: Part) -> int:
    """How many columns from the left hold words in every row."""
    for place in range(len(part.head)):
        if any(isinstance(row.cells[place], Score) for row in part.rows):
            return max(1, place)
    return 1


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _tex_cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return _tex(cell)
    return f"{_tex(cell.main)} {{\\scriptsize {_tex(cell.sub)}}}" if cell.sub else _tex(cell.main)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def html_table(table: Table) -> str:
    """A section with the table's parts; a wide grid scrolls in a box of its own."""
    blocks = [f'<section id="{table.name}"><h2>{html.escape(table.title)}</h2>']
    for part in table.parts:
        body = f"<p>{marked(part.caption)}</p>{_grid(part)}"
        if part.folded:
            blocks.append(f"<details><summary>{html.escape(part.title)}</summary>{body}</details>")
        else:
            blocks.append(f"<h3>{html.escape(part.title)}</h3>{body}")
    if table.notes:
        items = "".join(f"<li>{marked(note)}</li>" for note in table.notes)
        blocks.append(f'<ul class="notes">{items}</ul>')
    return "\n".join([*blocks, "</section>"])


def _grid(part: Part) -> str:
    words = _text_columns(part)
    head = "".join(
        f'<th scope="col"{" class=words" if place < words else ""}>{html.escape(name)}</th>'
        for place, name in enumerate(part.head)
    )
    rows = [
        f'<tr class="{row.kind}">'
        + "".join(_html_cell(cell, place < words) for place, cell in enumerate(row.cells))
        + "</tr>"
        for row in part.rows
    ]
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _html_cell(cell: Cell, words: bool) -> str:
    if isinstance(cell, str):
        return f"<td{' class=words' if words else ''}>{marked(cell)}</td>"
    lines = [f"<small>{marked(line)}</small>" for line in cell.sub.split("; ") if line]
    return f"<td>{marked(cell.main)}{''.join(lines)}</td>"


def marked(text: str) -> str:
    """Plain text as HTML, `code` in it as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))
