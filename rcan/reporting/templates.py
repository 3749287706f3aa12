"""Markdown pages from the templates that lie beside this module."""

from functools import cache
from importlib.resources import files

import jinja2

NOTHING = "(nothing)"  # what is written in the place of no words


def markdown_page(name: str, **values: object) -> str:
    """The template `name`.md, filled in; report text in it goes through the filter `escaped`."""
    return _template(name).render(values)


@cache
def _template(name: str) -> jinja2.Template:
    made = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=False,  # Markdown
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters["escaped"] = _escaped
    text = files("rcan.reporting").joinpath(f"{name}.md").read_text(encoding="utf-8")
    return made.from_string(text)


def _escaped(text: str) -> str:
    """Words of a report that Markdown would swallow or style, e.g. `<unk>`."""
    for mark in "\\`*_<#|[":
        text = text.replace(mark, f"\\{mark}")
    return text.strip() or NOTHING
