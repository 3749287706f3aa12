"""Which of the project's own modules a module imports, and one digest of all their code.

Read from the source, so that nothing is loaded: imports anywhere in a file count, be they made when
a function is called; modules that are imported by a name put together at run time do not.
"""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from math import inf
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PACKAGES = ("rcan", "pipeline")
# Code that runs around training and scoring and yet shapes neither, with the reason.
SHAPES_NOTHING = {
    "rcan/errors.py": "messages",
    "rcan/streams.py": "where messages go",
    "rcan/code.py": "this file",
    "rcan/data/sets/__init__.py": "which data sets there are; what is taken of one is in the data",
    "rcan/table.py": "what is printed; stages that draw tables list it",
    "rcan/project.py": "finds the repository and asks git",
    "rcan/ablation/finished.py": "copies what was made of the same inputs",
    "rcan/ablation/plan.py": "cells depend on what it wrote; stage plan on itself",
    "rcan/ablation/jobs.py": "processes",
    "rcan/tracking": "a view of the files in MLflow, and with it reporting's published numbers",
    "pipeline/__init__.py": "what Ctrl-C does while a stage is loading, other programs' variables",
    "pipeline/stage.py": "settings before a stage's own work, errors in one line",
}
WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def file_of(module: str) -> Path | None:
    """The file of a module of the project; None for others and for names inside a module."""
    if module.split(".")[0] not in PACKAGES:
        return None
    place = TOP.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def modules_named(path: Path) -> Iterator[str]:
    """Dotted names that `path` imports, anywhere in it: `a.b` and what is taken from it."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and node.level == 0, f"{path}: relative import"
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@cache
def imported(path: Path) -> frozenset[Path]:
    """Files of the project that `path` imports directly, packages' own files included."""
    names = set(modules_named(path))
    parts = {".".join(n.split(".")[:i]) for n in names for i in range(1, n.count(".") + 2)}
    return frozenset(file for name in parts if (file := file_of(name)) is not None)


def closure(paths: Iterable[Path], without: Collection[Path] = ()) -> set[Path]:
    """`paths` and all of the project that they import, directly or not, but through `without`."""
    seen: set[Path] = set()
    todo = list(paths)
    while todo:
        one = todo.pop()
        if one not in seen and one not in without:
            seen.add(one)
            todo += imported(one)
    return seen


def shaping_nothing() -> set[Path]:
    """The files of `SHAPES_NOTHING`."""
    return {file for name in SHAPES_NOTHING for file in [TOP / name, *(TOP / name).glob("**/*.py")]}


def code_digest(*modules: str) -> str:
    """SHA-256 over the code of these modules and all of the project that they import, without what
    Python does not run: comments, docstrings, blank lines.

    Raises LookupError if one is no module of the project.
    """
    paths = []
    for module in modules:
        if (path := file_of(module)) is None:
            raise LookupError(f"{module} is no module of this project")
        paths.append(path)
    sha = hashlib.sha256()
    for path in sorted(closure(paths, without=shaping_nothing())):
        sha.update(path.relative_to(TOP).as_posix().encode() + b"\0" + _running_code(path))
    return sha.hexdigest()


@cache
def _running_code(path: Path) -> bytes:
    """The source without docstrings, comments and blank lines; what stands in a text is kept."""
    lines = path.read_bytes().splitlines()
    docstrings: set[int] = set()  # numbers of their lines, from 1 as in the tree
    texts: dict[int, list[tuple[int, float]]] = {}  # line -> where texts begin and end in it
    for node in ast.walk(_tree(path)):
        if isinstance(node, WITH_DOCSTRING):
            first, second = [*node.body, None, None][:2]
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            if first and is_text and not (second and second.lineno == first.end_lineno):
                before = lines[first.lineno - 1][: first.col_offset]
                docstrings |= set(_lines_of(first)) if not before.strip() else set()
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            for number in _lines_of(node):
                begin = node.col_offset if number == node.lineno else 0
                end = node.end_col_offset if number == node.end_lineno else None
                texts.setdefault(number, []).append((begin, inf if end is None else end))
    kept = []
    for number, line in enumerate(lines, start=1):
        comments = (
            place
            for place, byte in enumerate(line)
            if byte == ord("#") and not any(a <= place < b for a, b in texts.get(number, ()))
        )
        code = line[: next(comments, None)].rstrip() if b"#" in line else line
        if number not in docstrings and (code.strip() or number in texts):
            kept.append(code)
    return b"\n".join(kept) + b"\n"


def _lines_of(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
