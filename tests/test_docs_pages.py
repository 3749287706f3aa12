"""README and docs: short, narrow, and every link leads somewhere."""

import csv
import re
from pathlib import Path

import pytest
from tiny import TOP

from rcan.reporting.panels_figure import VERSIONS

README = TOP / "README.md"
PAGES = [README, TOP / "benchmarks" / "README.md", *sorted((TOP / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(text: str, but: tuple[str, ...] = ()) -> list[str]:
    """The lines outside fenced code, and those of code in the languages `but`."""
    kept, language = [], None
    for line in text.splitlines():
        if line.startswith("```"):
            language = line.strip("` ") if language is None else None
        elif language is None or language in but:
            kept.append(line)
    assert language is None, "a fence is not closed"
    return kept


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = "\n".join(prose(page.read_text(encoding="utf-8")))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_text_between_two_blocks_of_code_is_no_code():
    text = "a\n```sh\nb\n```\nc\n```python\nd\n```\ne"
    assert prose(text) == ["a", "c", "e"]
    assert prose(text, but=("sh",)) == ["a", "b", "c", "e"]


def test_the_readme_is_read_in_minutes():
    assert len(README.read_text(encoding="utf-8").split()) <= 1800


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_is_wide(page):
    """Tables of docs, and its lists of messages, are one line a row."""
    for line in prose(page.read_text(encoding="utf-8"), but=("sh",)):
        is_row = line.startswith("|") or page.name in ("messages.md", "licences.md")
        assert len(line) <= 120 or (is_row and page != README), line


def test_the_readmes_pictures_are_there():
    found = re.findall(r'src(?:set)?="([^"]+)"', README.read_text(encoding="utf-8"))
    assert len(found) == len(VERSIONS)
    assert [name for name in found if not (README.parent / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for found in LINK.findall("\n".join(prose(page.read_text(encoding="utf-8")))):
        place, _, heading = found.partition("#")
        if not place.startswith(("http:", "https:")):
            target = (page.parent / place).resolve() if place else page
            assert target.exists(), f"{page.name}: {place}"
            assert not heading or heading in anchors(target), f"{page.name}: {place}#{heading}"


def test_the_first_table_has_the_numbers_of_the_reports():
    table = TOP / "reports" / "iu_xray-small" / "ablations" / "table4.csv"
    with table.open(encoding="utf-8", newline="") as file:
        found = {
            (row["source"], row["protocol"], row["statistic"]): row
            for row in csv.DictReader(file)
            if row["data"] == "iu_xray"  # of the paper's rows the last, the whole model's
        }
    paper, ours, constant = (
        found[key]
        for key in (
            ("the paper", "published", "score"),
            ("ours: rcan", "paper", "score"),
            ("floor: best_constant", "paper", "score"),
        )
    )
    noise = {end: found.get(("ours: rcan", "paper", end)) for end in ("sd", "low", "high")}
    text = README.read_text(encoding="utf-8")
    for name in ("BLEU-4", "METEOR", "ROUGE-L"):
        numbers = [f"{float(row[name]):.3f}" for row in (paper, ours, constant)]
        low, high, *sd = (
            f"{float(noise[end][name]):.3f}" for end in ("low", "high", "sd") if noise[end]
        )
        told = f"± {sd[0]}" if sd else f"[{low}, {high}]"
        row = f"| {numbers[0]} | {numbers[1]} {told} | {numbers[2]} |"
        assert re.search(rf"^\| (IU X-ray, )?{name} {re.escape(row)}", text, re.MULTILINE), row
