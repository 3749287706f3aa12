"""What the project depends on is pinned, and the licence of each package is told."""

import re

from tiny import TOP

LOCK = (TOP / "requirements.lock").read_text(encoding="utf-8")
PAGE = (TOP / "docs" / "licences.md").read_text(encoding="utf-8")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lines: list[str]) -> dict[str, str]:
    found = (re.match(r"([\w.-]+)(?:\[.*\])?==([^\s;]+)", line) for line in lines)
    return {plain(match[1]): match[2] for match in found if match}


def test_every_package_is_pinned_and_its_licence_told():
    rows = re.findall(r"^\| ([\w.-]+) \| ([\w.+!-]+) \| (.*) \|$", PAGE, re.MULTILINE)
    told = {plain(name): (version, licence) for name, version, licence in rows}
    everywhere = locked([line for line in LOCK.splitlines() if ";" not in line])
    assert everywhere.keys() <= told.keys()
    pinned = locked(LOCK.splitlines())
    assert {name: version for name, (version, _) in told.items()}.items() <= pinned.items()
    assert all(licence and licence != "UNKNOWN" for _, licence in told.values())


def test_the_lock_names_no_registry():
    assert "://" not in LOCK and "index-url" not in LOCK
