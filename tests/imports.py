"""What the tests ask of the project's own source."""

from rcan.code import PACKAGES, TOP, closure, file_of, imported, modules_named

__all__ = ["TOP", "closure", "file_of", "imported", "modules_named", "sources"]


def sources():
    """All Python files of the package and the pipeline."""
    return sorted(p for top in PACKAGES for p in (TOP / top).rglob("*.py"))
