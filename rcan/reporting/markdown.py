"""The little Markdown that the project's documents use, as HTML.

Headings, paragraphs, lists, tables, fenced code; in a line: `code`, **bold** and [links](page).
Anything else stays as it is written.
"""

import html
import re
from collections.abc import Callable, Iterator

_HEADING = re.compile(r"(#{1,4}) (.+)")
_ITEM = re.compile(r"(?:[-*]|\d+\.) (.+)")
_RULE = re.compile(r"\|(?: *:?-+:? *\|)+")
_CELLS = re.compile(r"(?<!\\)\|")


def to_html(text: str, *, least: int = 1) -> str:
    """`text` as HTML; its first level of headings becomes h`least`."""
    return "\n".join(_blocks(text.splitlines(), least - 1))


def inline(text: str) -> str:
    """One line's words."""
    parts = re.split("`([^`]+)`", html.escape(text, quote=False))
    return "".join(
        f"<code>{part}</code>" if place % 2 else _words(part) for place, part in enumerate(parts)
    )


def _words(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)  # the page stands alone: no link leads on


def _blocks(lines: list[str], deeper: int) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        heading = _HEADING.fullmatch(line)
        if not line.strip():
            place += 1
        elif heading:
            level = len(heading[1]) + deeper
            yield f"<h{level}>{inline(heading[2])}</h{level}>"
            place += 1
        elif line.startswith("```"):
            end = _until(lines, place + 1, lambda each: each.startswith("```"))
            yield f"<pre>{html.escape(chr(10).join(lines[place + 1 : end]))}</pre>"
            place = end + 1
        elif line.startswith("|") and place + 1 < len(lines) and _RULE.fullmatch(lines[place + 1]):
            end = _until(lines, place, lambda each: not each.startswith("|"))
            yield _table(lines[place:end])
            place = end
        elif _ITEM.match(line):
            end = _until(lines, place, lambda each: not each.strip())
            yield _list(lines[place:end])
            place = end
        else:
            end = _until(lines, place + 1, lambda each: not each.strip() or each[0] in "#|`")
            yield f"<p>{inline(' '.join(lines[place:end]))}</p>"
            place = end


def _until(lines: list[str], start: int, stop: Callable[[str], bool]) -> int:
    return next((n for n in range(start, len(lines)) if stop(lines[n])), len(lines))


def _table(lines: list[str]) -> str:
    head, _, *rows = [
        [cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]] for line in lines
    ]
    tops = "".join(f'<th scope="col">{inline(cell)}</th>' for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td class=words>{inline(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="prose"><thead><tr>{tops}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _list(lines: list[str]) -> str:
    """Items, each with the lines that go on with it."""
    items: list[str] = []
    for line in lines:
        item = _ITEM.match(line)
        if item:
            items.append(item[1])
        else:
            items[-1] += f" {line.strip()}"
    kind = "ol" if lines[0][0].isdigit() else "ul"
    return f"<{kind}>{''.join(f'<li>{inline(item)}</li>' for item in items)}</{kind}>"
