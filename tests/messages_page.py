"""Write docs/messages.md: every message of the project, read from the code."""

import ast
from collections.abc import Iterator
from pathlib import Path

from imports import TOP, sources

PAGE = TOP / "docs" / "messages.md"
ERRORS = {"UserError", "GitError", "LackingError", "NamesNobodyError", "DiskError"}
HEAD = """# Every message

When something is wrong, the pipeline and `rcan` end with one line: what was expected, what
came, what to do next. This page lists every such line. Search it for a few words of yours. What
stands between ‹ and › is filled in. [troubleshooting.md](troubleshooting.md) says more about the
commoner ones.
`python tests/messages_page.py` writes this page.
"""


def page() -> str:
    """The page as the code has it now: a section for each folder, equal messages once."""
    sections: dict[str, set[str]] = {}
    for path in sources():
        name = path.relative_to(TOP)
        folder = name.parent if len(name.parts) == 2 else Path(*name.parts[:2])
        sections.setdefault(f"{folder.as_posix()}/", set()).update(messages(path))
    parts = [HEAD]
    for folder, found in sorted(sections.items()):
        if found:
            parts.append(f"\n## {folder}\n\n")
            parts += [f"- {message}\n" for message in sorted(found)]
    return "".join(parts)


def messages(path: Path) -> Iterator[str]:
    """The messages of one file's errors; of one passed on from elsewhere, none."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ERRORS
            and node.args
        ):
            text = " ".join(_text(node.args[0]).split())
            if text.strip("‹›. abcdefghijklmnopqrstuvwxyz_()") or " " in text:
                yield text.replace("|", "\\|").replace("<", "&lt;")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    value = node.value if isinstance(node, ast.FormattedValue) else node
    return f"‹{_name(value)}›"


def _name(node: ast.expr) -> str:
    """A short word for what is filled in: the last name of an expression."""
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, node.id.strip("_").lower())
    if isinstance(node, ast.Attribute):
        return _WORDS.get(node.attr, node.attr)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
        return "number"
    if isinstance(node, ast.Call):
        return _name(node.args[0] if node.args else node.func)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.BinOp):
        return next(
            (word for side in (node.left, node.right) if (word := _name(side)) != "..."), "..."
        )
    if isinstance(node, ast.IfExp):
        return _name(node.body)
    return "..."


_WORDS = {"__name__": "type", "e": "error", "strerror": "reason", "returncode": "code"}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
