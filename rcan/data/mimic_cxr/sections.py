"""The sections of a free-text report: which lines are headings, and what stands under them.

A heading opens a line, in capitals, and ends with a colon; FINDINGS and IMPRESSION are known in
small letters and misspelt, too. The headings of MIMIC-CXR are told by the data set's own paper and
by its public parser (https://github.com/MIT-LCP/mimic-cxr); no line of it is used here.
"""

import re
from difflib import get_close_matches
from functools import lru_cache

_HEADING = re.compile(
    r"""[ \t]*(?:
    (?:([A-Z](?:[A-Z ()/,&.'-]|\b[1-4]\b){1,60}?)  # in capitals; "2 VIEWS", but not "T12:"
    |([A-Za-z]{5,14}(?:[ ]?(?:/|&|and)[ ]?[A-Za-z]{5,14})?)  # one or two words
    )[ \t]*:(?=\s|$)
    |(FINAL[ ]REPORT|FINAL[ ]ADDENDUM|WET[ ]READ|ADDENDUM)\b.*$)""",
    re.VERBOSE,
)
_WORD = re.compile("[A-Z]+")
# What "CHEST, PA AND LATERAL:" is made of, a heading over findings in older reports.
_OF_VIEWS = {
    "CHEST", "PA", "AP", "LATERAL", "FRONTAL", "PORTABLE", "UPRIGHT", "SUPINE", "ERECT",
    "SEMIUPRIGHT", "SEMI", "SINGLE", "ONE", "TWO", "VIEW", "VIEWS", "OF", "THE", "AND", "LAT",
    "RADIOGRAPH", "RADIOGRAPHS", "FILM", "X", "RAY", "RIBS", "BONE", "WINDOW", "BEDSIDE",
}  # fmt: skip
# One of which such a heading must hold: "AP:" alone may be anything.
_NAMES_VIEWS = {
    "CHEST", "VIEW", "VIEWS", "RADIOGRAPH", "RADIOGRAPHS", "PORTABLE", "LATERAL", "LAT", "FRONTAL",
    "RIBS", "UPRIGHT",
}  # fmt: skip
# What structured findings are divided by: such a line opens no section.
_OF_ORGANS = {
    "LUNGS", "LUNG", "PLEURA", "PLEURAL", "SPACE", "SPACES", "AND", "HEART", "CARDIAC",
    "SILHOUETTE", "MEDIASTINUM", "CARDIOMEDIASTINUM", "HILA", "BONES", "OSSEOUS", "STRUCTURES",
    "SOFT", "TISSUES", "LINES", "TUBES", "DEVICES", "ABDOMEN", "UPPER", "DIAPHRAGM", "AIRWAYS",
    "RIGHT", "LEFT",
}  # fmt: skip
# Ends a section in small letters, too.
_KNOWN = {
    "COMPARISON", "COMPARISONS", "INDICATION", "INDICATIONS", "TECHNIQUE", "HISTORY", "EXAMINATION",
    "RECOMMENDATION", "RECOMMENDATIONS", "NOTIFICATION", "ADDENDUM",
}  # fmt: skip
FINDINGS, IMPRESSION, BOTH, VIEWS, OTHER = "findings", "impression", "both", "views", "other"


def findings_of(report: str) -> tuple[str, str]:
    """The findings of a report on one line, "" if it has none, and the kind of their heading.

    FINDINGS before FINDINGS AND IMPRESSION before the name of the views; of several the last that
    holds any text.
    """
    found: dict[str, str] = {}
    for kind, text in sections(report):
        if text:
            found[kind] = text
    for kind in (FINDINGS, BOTH, VIEWS):
        if kind in found:
            return found[kind], kind
    return "", OTHER


def sections(report: str) -> list[tuple[str, str]]:
    """Kind and text, its spaces and line breaks one space each, of each section in order.

    What stands before the first heading is left out.
    """
    found: list[tuple[str, list[str]]] = []
    for line in report.splitlines():
        heading = _HEADING.match(line)
        kind = _kind_of_line(heading) if heading else None
        if heading and kind:
            found.append((kind, [line[heading.end() :]]))
        elif found:
            found[-1][1].append(line)
    return [(kind, " ".join(" ".join(lines).split())) for kind, lines in found]


def _kind_of_line(heading: re.Match[str]) -> str | None:
    """None where the line is text after all."""
    name = next(filter(None, heading.groups()))
    kind, words = kind_of(name), set(_WORD.findall(name.upper()))
    if kind != OTHER or heading[3]:
        return kind
    if words <= _OF_ORGANS:
        return None
    return OTHER if heading[1] or words & _KNOWN else None  # in small letters only what is known


@lru_cache(maxsize=4096)
def _is_like(word: str, known: str) -> bool:
    return bool(get_close_matches(word, [known], cutoff=0.8))


def kind_of(heading: str) -> str:
    """What a heading announces: `FINDNGS` are findings, `FINDINGS/IMPRESSION` both."""
    words = _WORD.findall(heading.upper())
    has_findings = any(_is_like(word, "FINDINGS") for word in words[:2])
    has_impression = any(
        (_is_like(word, "IMPRESSION") and word[0] == "I") or word == "CONCLUSION" for word in words
    )  # COMPRESSION is as like as IMPRESION
    if has_findings and has_impression:
        return BOTH
    if has_findings:
        return FINDINGS
    if has_impression:
        return IMPRESSION
    is_of_views = _NAMES_VIEWS & set(words) and set(words) <= _OF_VIEWS
    return VIEWS if is_of_views else OTHER
