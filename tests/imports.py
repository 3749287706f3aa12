"""Which of the project's own modules a module imports, lazily or not, read from its source."""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]


def sources() -> list[Path]:
    """All Python files of the package and the pipeline."""
    return sorted(p for top in ("rcan", "pipeline") for p in (TOP / top).rglob("*.py"))


def file_of(module: str) -> Path | None:
    """The file of a module of the project; None for others and for names inside a module."""
    if module.split(".")[0] not in ("rcan", "pipeline"):
        return None
    place = TOP.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def modules_named(path: Path) -> Iterator[str]:
    """Dotted names that `path` imports, anywhere in it: `a.b` and what is taken from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def imported(path: Path) -> set[Path]:
    """Files of the project that `path` imports directly, packages' own files included."""
    names = set(modules_named(path))
    parts = {".".join(n.split(".")[:i]) for n in names for i in range(1, n.count(".") + 2)}
    return {file for name in parts if (file := file_of(name)) is not None}


def closure(path: Path, without: Collection[Path] = ()) -> set[Path]:
    """`path` and all of the project that it imports, directly or not, but through `without`."""
    seen, todo = set(), [path]
    while todo:
        one = todo.pop()
        if one not in seen and one not in without:
            seen.add(one)
            todo += imported(one)
    return seen
