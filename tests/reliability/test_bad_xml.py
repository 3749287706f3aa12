"""Hostile XML of Open-i: nothing is expanded or fetched, in whatever encoding it comes."""

import itertools

import pytest
from formats_of_studies import PLAIN
from formats_of_studies import read_xml as read
from layouts import write_openi

KIND = "XML"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_openi(tmp_path_factory.mktemp("openi"))


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


RIGHT = {
    "marked text": ("<![CDATA[<b> & ]]>", "<b> & "), "parts": ("a<b>b</b>c<d/>e", "abce"),
    "a comment": ("a<!-- b -->c", "ac"), "an instruction": ("a<?b c?>d", "ad"),
    "no text": ("", ""), "space": (" \n ", " \n "), "others": ("&lt;&#228;&#x1FAC1;", "<ä🫁"),
    "deep": ("<b>" * 50_000 + "x" + "</b>" * 50_000, "x"), "long": ("x" * 10**6, "x" * 10**6),
}  # fmt: skip


@pytest.mark.parametrize("body", RIGHT)
def test_an_unusual_body_is_read_whole(path, body, figure):
    written, meant = RIGHT[body]
    path.write_text(PLAIN.replace("No effusion.", written), encoding="utf-8")
    assert read(path) == meant
    figure("bad input", KIND, 1)
