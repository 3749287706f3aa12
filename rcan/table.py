"""One kind of table for the whole project: numbers and words as data, drawn in any format.

A number is a `Value`, words are text. `measured` is the one way to tell a number together with what
is known of its noise.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

NONE = "–"  # no number, or none that is known


@dataclass(frozen=True)
class Value:
    """A number as it is told, and in small print what qualifies it; a "; " there may end a line."""

    main: str
    small: str = ""

    def __str__(self) -> str:
        return f"{self.main} {self.small}".strip()


def number(value: float | None, form: str = ".3f", *, minus: str = "-") -> Value:
    """`0.592`, or that there is none."""
    return Value(NONE if value is None else f"{value:{form}}".replace("-", minus))


def interval(value: Mapping[str, Any], form: str = ".3f", *, minus: str = "-") -> str:
    """`[0.570, 0.615]`; empty where nobody knows it."""
    ends = [value.get(end) for end in ("low", "high")]
    if None in ends:
        return ""
    return f"[{', '.join(f'{end:{form}}'.replace('-', minus) for end in ends)}]"


def measured(value: Mapping[str, Any], form: str = ".3f", *, minus: str = "-") -> Value:
    """`0.592 ± 0.010` and `[0.570, 0.615]`: `score` or `difference`, `sd` over seeds, and the
    interval from `low` to `high`, as far as each is known."""
    middle = value["score"] if "score" in value else value["difference"]
    if middle is None:
        return Value(NONE)
    spread = f" ± {value['sd']:{form.removeprefix('+')}}" if "sd" in value else ""
    return Value(f"{number(middle, form, minus=minus)}{spread}", interval(value, form, minus=minus))


def mean_of(numbers: Sequence[float], told: Callable[[float], object]) -> Value:
    """`0.512 ± 0.013`, mean and standard deviation of several; one alone has no ±."""
    if not numbers:
        return Value(NONE)
    middle = f"{told(mean(numbers))}"
    if len(numbers) == 1:
        return Value(middle)
    return Value(f"{middle} ± {str(told(stdev(numbers))).removeprefix('+')}")


def percent(share: float, digits: int = 1) -> str:
    """`12.5 %`."""
    return f"{100 * share:.{digits}f} %"


class Row(tuple[object, ...]):
    """A line; `kind` (ours, paper, cited, floor, control, missing, difference) colours it on a
    page, and its first words say it too, so that no format loses it."""

    kind: str

    def __new__(cls, cells: Iterable[object], kind: str = "ours") -> Self:
        row = super().__new__(cls, cells)
        row.kind = kind
        return row


@dataclass(frozen=True)
class Table:
    """Rows under columns. `caption` says of what data; `folded`: a page shows it when asked."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]  # text is words, all else a number
    title: str = ""
    caption: str = ""
    notes: Sequence[str] = ()
    folded: bool = False

    @property
    def num_words(self) -> int:
        """How many columns from the left hold words in every row, at least one."""
        for place in range(len(self.columns)):
            if not all(isinstance(row[place], str) for row in self.rows):
                return max(1, place)
        return 1

    def markdown(self) -> str:
        """The grid, whose columns line up in the raw text too; all but the first stand right."""
        lines = [
            [str(cell).replace("|", "\\|") for cell in line] for line in (self.columns, *self.rows)
        ]
        widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
        return "\n".join(
            f"| {' | '.join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])])} |"
            for first, *rest in lines
        )

    def text(self) -> str:
        """For a terminal: columns of numbers stand right."""
        lines = [[*self.columns], *([str(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        places = [
            str.ljust if all(isinstance(row[k], str) for row in self.rows) else str.rjust
            for k in range(len(widths))
        ]
        return "\n".join(
            "  ".join(
                place(cell, width) for place, cell, width in zip(places, line, widths, strict=True)
            ).rstrip()
            for line in lines
        )

    def latex(self, title: str = "") -> str:
        """A table environment; it wants the packages booktabs, amssymb and graphicx."""
        words = self.num_words
        caption = f"{_tex(self.title)}. {_tex(self.caption)}"
        lines = [
            r"\begin{table}",
            f"\\caption{{{_tex(title)}: {caption}}}" if title else f"\\caption{{{caption}}}",
            r"\resizebox{\textwidth}{!}{%",
            f"\\begin{{tabular}}{{{'l' * words + 'r' * (len(self.columns) - words)}}}",
            r"\toprule",
            " & ".join(map(_tex, self.columns)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_tex_cell, row)) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
        return "\n".join([*lines, *_tex_list(self.notes)])

    def html(self) -> str:
        """The grid, in a box of its own that scrolls where it is wide."""
        return html_environment().from_string(_GRID).render(table=self)


@dataclass(frozen=True)
class Section:
    """Tables that belong together, e.g. a table of the paper under both protocols; `records` are
    their numbers for programs."""

    name: str  # of its files, and on the page
    title: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, object]] = field(default=(), repr=False)

    @property
    def frame(self) -> "pd.DataFrame":
        """The records, each value as it is."""
        import pandas as pd

        return pd.DataFrame(self.records, dtype=object)

    def csv(self) -> str:
        """The records, a row each."""
        return str(self.frame.to_csv(index=False, lineterminator="\n"))

    def markdown(self) -> str:
        """Every table under its heading, then the notes."""
        blocks = [f"# {self.title}"]
        for table in self.tables:
            blocks += [f"## {table.title}", table.caption, table.markdown()]
            blocks += [_listed(table.notes)] if table.notes else []
        blocks += ["## Notes", _listed(self.notes)] if self.notes else []
        return "\n\n".join(blocks) + "\n"

    def latex(self) -> str:
        """One table environment a table."""
        title = self.title.encode("ascii", "replace").decode()
        lines = [f"% {title}; \\usepackage{{booktabs,amssymb,graphicx}}"]
        lines += [f"{table.latex(self.title)}\n" for table in self.tables]
        return "\n".join([*lines, *_tex_list(self.notes)]) + "\n"

    def html(self) -> str:
        """A section of a page."""
        return html_environment().from_string(_SECTION).render(section=self)


def _listed(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "λ": r"$\lambda$", "τ": r"$\tau$", "✓": r"\checkmark{}",
    "×": r"$\times$", "→": r"$\rightarrow$", "≥": r"$\geq$", "–": "--", "…": r"\ldots{}",
    "·": r"$\cdot$", "`": "", "²": r"$^2$", "†": r"$^\dagger$", "<": "$<$", ">": "$>$", "|": "$|$",
}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _tex_cell(cell: object) -> str:
    if not isinstance(cell, Value) or not cell.small:
        return _tex(str(cell))
    return f"{_tex(cell.main)} {{\\scriptsize {_tex(cell.small)}}}"


def _tex_list(notes: Sequence[str]) -> list[str]:
    items = [f"\\item {_tex(note)}" for note in notes]
    return [r"\begin{itemize}", *items, r"\end{itemize}"] if items else []


_GRID = """\
<div class="wide"><table><thead><tr>
{%- for name in table.columns -%}
<th scope="col"{{ ' class="words"'|safe if loop.index0 < table.num_words }}>{{ name }}</th>
{%- endfor -%}
</tr></thead><tbody>
{%- for row in table.rows %}
<tr class="{{ row.kind|default("ours") }}">
{%- for cell in row -%}
{%- if cell is string -%}
<td{{ ' class="words"'|safe if loop.index0 < table.num_words }}>{{ cell|marked }}</td>
{%- else -%}
<td>{{ cell.main|default(cell)|string|marked }}
{%- for line in (cell.small|default("")).split("; ") if line -%}
<small>{{ line|marked }}</small>
{%- endfor -%}
</td>
{%- endif -%}
{%- endfor -%}
</tr>
{%- endfor -%}
</tbody></table></div>
{%- if table.notes -%}
<ul class="notes">{% for note in table.notes %}<li>{{ note|marked }}</li>{% endfor %}</ul>
{%- endif -%}
"""

_SECTION = """\
<section id="{{ section.name }}"><h2>{{ section.title }}</h2>
{% for table in section.tables -%}
{% if table.folded -%}
<details><summary>{{ table.title }}</summary><p>{{ table.caption|marked }}</p>
{{- table.html()|safe }}</details>
{%- else -%}
<h3>{{ table.title }}</h3><p>{{ table.caption|marked }}</p>{{ table.html()|safe }}
{%- endif %}
{% endfor -%}
{% if section.notes -%}
<ul class="notes">{% for note in section.notes %}<li>{{ note|marked }}</li>{% endfor %}</ul>
{% endif -%}
</section>"""


@cache
def html_environment() -> "jinja2.Environment":
    import jinja2

    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    made.filters["marked"] = marked
    return made


def marked(text: str) -> str:
    """Plain text as HTML, `code` in it as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))
