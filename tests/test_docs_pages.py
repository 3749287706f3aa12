"""README and docs: short, narrow, and every link leads somewhere."""

import re
from pathlib import Path

import pytest
from tiny import TOP

README = TOP / "README.md"
PAGES = [README, TOP / "benchmarks" / "README.md", *sorted((TOP / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_is_read_in_minutes():
    assert len(README.read_text(encoding="utf-8").split()) <= 1800


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_is_wide(page):
    """Tables of docs, and its lists of messages, are one line a row."""
    text = re.sub(r"^```(?!sh).*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for line in text.splitlines():
        is_row = line.startswith("|") or page.name in ("messages.md", "licences.md")
        assert len(line) <= 120 or (is_row and page != README), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for found in LINK.findall(text):
        place, _, heading = found.partition("#")
        if not place.startswith(("http:", "https:")):
            target = (page.parent / place).resolve() if place else page
            assert target.exists(), f"{page.name}: {place}"
            assert not heading or heading in anchors(target), f"{page.name}: {place}#{heading}"
