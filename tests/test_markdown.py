"""The Markdown of the project's documents on the page, which stands alone."""

import re

import pytest
from imports import TOP

from rcan.reporting.cells.page import document_html


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# One", "<h2>One</h2>"),
        ("### Three", "<h4>Three</h4>"),
        ("two lines\nof one paragraph", "<p>two lines of one paragraph</p>"),
        ("1. first\n   goes on\n2. second", "<ol><li>first goes on</li><li>second</li></ol>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("```\na < b\n```", "<pre><code>a &lt; b</code></pre>"),
        ("```\nnever closed", "<pre><code>never closed</code></pre>"),
        ("a | b", "<p>a | b</p>"),
        ("text\n# Head", "<p>text</p><h2>Head</h2>"),
        ("", ""),
    ],
)
def test_blocks(text, wanted):
    assert document_html(text, deeper=1).replace("\n", "") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("`a_b <c>` and **bold**", "<code>a_b &lt;c&gt;</code> and <strong>bold</strong>"),
        ("`**not bold**`", "<code>**not bold**</code>"),
        ("see [the docs](docs/a.md)", "see the docs"),
        ("see <http://a.b> ![x](http://a.b/c.png)", "see http://a.b "),
        ("<script>", "&lt;script&gt;"),
        ("a <b onclick='x'>", "a &lt;b onclick='x'&gt;"),
        ("one ` alone", "one ` alone"),
        ("``", "``"),
    ],
)
def test_words_of_a_line(text, wanted):
    assert document_html(text) == f"<p>{wanted}</p>\n"


def test_a_table_keeps_its_cells_and_bars_in_them():
    page = document_html("| a | b |\n|---|:-:|\n| `x \\| y` | 2 |\n\nafter")
    assert page.count("<th ") == 2 and page.count("<td") == 2
    assert "<code>x | y</code>" in page and page.endswith("<p>after</p>\n")
    assert page.startswith('<div class="wide"><table class="prose">')


def test_the_ledger_of_readings_is_shown_whole():
    text = (TOP / "docs" / "readings.md").read_text(encoding="utf-8")
    page = document_html(text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert page.count("<tr>") == sum(not line.startswith("|---") for line in rows)
    assert page.count("<li>") == len(re.findall(r"^(?:- |\d+\. )", text, re.MULTILINE)) > 8
    assert "|" not in page.replace("outer | inner", "").replace(" | ", "")
