"""What the project depends on is pinned, and the licence of each package is told."""

import re

from tiny import TOP

LOCK = (TOP / "requirements.lock").read_text(encoding="utf-8")
PAGE = (TOP / "docs" / "licences.md").read_text(encoding="utf-8")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lines: list[str]) -> set[tuple[str, str]]:
    """(package, version); one package may have two, for different versions of Python."""
    found = (re.match(r"([\w.-]+)(?:\[.*\])?==([^\s;]+)", line) for line in lines)
    return {(plain(match[1]), match[2]) for match in found if match}


def test_every_package_is_pinned_and_its_licence_told():
    rows = re.findall(r"^\| ([\w.-]+) \| (\d[\w.+!-]*) \| (.*) \|$", PAGE, re.MULTILINE)
    told = {(plain(name), version) for name, version, _ in rows}
    assert locked([line for line in LOCK.splitlines() if ";" not in line]) <= told
    assert told <= locked(LOCK.splitlines())
    assert all(licence and licence != "UNKNOWN" for *_, licence in rows)


def test_the_lock_names_no_registry():
    assert "://" not in LOCK and "index-url" not in LOCK
