"""Damaged or hostile XML of Open-i: the findings it holds, or one line; nothing is expanded."""

import itertools
import time
import xml.sax
from collections import Counter
from pathlib import Path

import pytest
from cases import GARBAGE, INSTEAD, attempt, damaged, put, seeded
from hypothesis import given
from hypothesis import strategies as st
from layouts import LISTED, REPORTS, XML, write_openi

from rcan.data.iu_xray import read_iu_xray

KIND = "XML"
NUMBER = LISTED[1].number
PLAIN = XML.format(number=NUMBER, findings="No effusion.")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_openi(tmp_path_factory.mktemp("openi"))


class Findings(xml.sax.ContentHandler):
    """The text of the first section of findings, by another reader of XML."""

    def __init__(self) -> None:
        self.depth, self.done, self.parts = 0, False, []

    def startElement(self, name, attributes):  # noqa: N802, the library's name
        starts = name == "AbstractText" and attributes.get("Label") == "FINDINGS"
        if self.depth or (starts and not self.done):
            self.depth += 1

    def endElement(self, name):  # noqa: N802
        self.depth = max(0, self.depth - 1)
        self.done = self.done or bool(self.parts and not self.depth)

    def characters(self, content):
        if self.depth:
            self.parts.append(content)


def read(path: Path, meant: str | None = None) -> str | None:
    """The findings of the second study, if its file was read; then they are the file's own."""
    started = time.perf_counter()
    data = attempt(lambda: read_iu_xray(path.parents[1], LISTED), str(path))
    assert time.perf_counter() - started < 5
    if data is None:
        return None
    assert (data.layout, data.problems.counts) == ("Open-i", {})
    assert [data.studies[number].report for number in (0, 2)] == [REPORTS[0], REPORTS[2]]
    if meant is None:
        found = Findings()
        xml.sax.parseString(path.read_bytes(), found)
        meant = "".join(found.parts)
    assert data.studies[1].report == meant
    return data.studies[1].report


def test_damaged_bytes(path, amount, figure):
    counted = Counter()
    content = PLAIN.encode()

    @seeded(amount(90, 1000))
    @given(st.sampled_from([content, content.replace(b"utf-8", b"iso-8859-1")]).flatmap(damaged))
    def of_bytes(content):
        path.write_bytes(content)
        counted[read(path) is None] += 1

    of_bytes()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


ENTITIES = ["ha"] + ["".join(f"&e{n};" * 10) for n in range(20)]
DOCTYPES = {
    "a bomb": "[" + "".join(f'<!ENTITY e{n} "{text}">' for n, text in enumerate(ENTITIES)) + "]",
    "a wide bomb": f'[<!ENTITY e20 "{"ha" * 50_000}">]',
    "a file": '[<!ENTITY e20 SYSTEM "file:///etc/passwd">]',
    "a service": '[<!ENTITY e20 SYSTEM "http://127.0.0.1:9/">]',
    "an outer subset": 'SYSTEM "file:///etc/passwd"',
    "a public subset": 'PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1:9/x.dtd"',
    "a parameter": '[<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]',
    "a parameter of its own": '[<!ENTITY % p "<!ENTITY e20 \'ha\'>"> %p;]',
    "an attribute": '[<!ATTLIST uId id CDATA "CXR0">]', "an element": "[<!ELEMENT a ANY>]",
    "a notation": '[<!NOTATION n SYSTEM "x">]', "nothing": "", "a comment": "[<!-- x -->]",
}  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "utf-32", "utf-7")
NAMED = ("", "utf-8", "UTF-16", "iso-8859-1", "cp037", "utf-7", "none-such", "big5")


def head(encoding: str) -> str:
    """The first line of a file that names its encoding, rightly or not."""
    named = f" encoding='{encoding}'" if encoding else ""
    return f"<?xml version='1.0'{named}?>"


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_document_type_is_refused_in_every_encoding(path, doctype, amount, figure):
    tried = 0
    body = PLAIN.partition("?>")[2].replace("No effusion.", "&e20;")
    declared = f"<!DOCTYPE eCitation {DOCTYPES[doctype]}>"
    for used, named in itertools.product(ENCODINGS, NAMED):
        for lead in ("\n \t", "", "<!-- x -->", "<?x y?>")[: amount(1, 4)]:
            path.write_bytes(f"{head(named)}{lead}{declared}{body}".encode(used))
            assert read(path) is None
            tried += 1
    figure("bad input", KIND, tried)


def test_an_encoding_gives_the_same_text_or_one_line(path, figure):
    body = PLAIN.partition("?>")[2]
    read_as = {}
    for used, named in itertools.product(ENCODINGS, NAMED):
        path.write_bytes(f"{head(named)}{body}".encode(used))
        read_as[used, named] = read(path, meant="No effusion.")
    assert set(read_as.values()) == {"No effusion.", None}
    assert read_as["utf-16", ""] == read_as["utf-8-sig", ""] == "No effusion."
    figure("bad input", KIND, len(read_as))


BODIES = {
    "an entity of nobody": "&nobody;", "a file included": '<x:include href="/etc/passwd"/>',
    "a null": "&#0;", "a lone surrogate": "&#xD800;", "beyond": "&#x110000;", "open": "<b>",
    "closed": "</b>", "bare": "a & b", "a marked end": "]]>", "half a tag": "<b",
    "two": '<b c="1" c="2"/>',
    "a huge number": f"&#{'9' * 9_000};", "a namespace of nobody": "<x:b/>",
}  # fmt: skip
RIGHT = {
    "marked text": ("<![CDATA[<b> & ]]>", "<b> & "), "parts": ("a<b>b</b>c<d/>e", "abce"),
    "a comment": ("a<!-- b -->c", "ac"), "an instruction": ("a<?b c?>d", "ad"),
    "no text": ("", ""), "space": (" \n ", " \n "), "others": ("&lt;&#228;&#x1FAC1;", "<ä🫁"),
    "deep": ("<b>" * 50_000 + "x" + "</b>" * 50_000, "x"), "long": ("x" * 10**6, "x" * 10**6),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_xml_is_one_line(path, body, figure):
    path.write_text(PLAIN.replace("No effusion.", BODIES[body]), encoding="utf-8")
    assert read(path) is None
    figure("bad input", KIND, 1)


@pytest.mark.parametrize("body", RIGHT)
def test_an_unusual_body_is_read_whole(path, body, figure):
    written, meant = RIGHT[body]
    path.write_text(PLAIN.replace("No effusion.", written), encoding="utf-8")
    assert read(path) == meant
    figure("bad input", KIND, 1)


def test_garbage_and_the_report_of_another(path, figure):
    others = [PLAIN.replace(NUMBER, "1"), PLAIN.replace("uId", "uid"), PLAIN.replace(" id=", " x=")]
    contents = [*GARBAGE, *(other.encode() for other in others)]
    for content in contents:
        path.write_bytes(content)
        assert read(path) is None, content[:80]
    figure("bad input", KIND, len(contents))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(path, instead, figure):
    put(path, instead)
    if instead == "pickled code":
        assert read(path) is None
        assert not path.with_name("ran").exists()
    else:  # no file: a report that is missing, and counted
        data = read_iu_xray(path.parents[1], LISTED)
        assert (
            data.problems.first == {"report_missing": [LISTED[1].id]} and not data.studies[1].report
        )
    put(path, "nothing")
    figure("bad input", KIND, 1)
