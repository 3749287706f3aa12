"""The sections of a free-text report: which lines are headings, and what stands under them.

A heading opens a line, in capitals, and ends with a colon; FINDINGS and IMPRESSION are known in
small letters and misspelt, too. The headings of MIMIC-CXR are told by the data set's own paper and
by its public parser (https://github.com/MIT-LCP/mimic-cxr); no line of it is used here.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from rcan.reading import is_missing

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
# What may stand beside FINDINGS in their own heading.
_OF_PICTURES = (_OF_VIEWS - {"RIBS", "BONE"}) | {
    "RADIOGRAPHIC", "RADIOLOGIC", "RADIOLOGICAL", "IMAGING", "XRAY", "DETAILED",
}  # fmt: skip
# One of which such a heading must hold: "AP:" alone may be anything.
_NAMES_VIEWS = {
    "CHEST", "VIEW", "VIEWS", "RADIOGRAPH", "RADIOGRAPHS", "PORTABLE", "LATERAL", "LAT", "FRONTAL",
    "RIBS", "UPRIGHT",
}  # fmt: skip
# What structured findings are divided by: such a line opens no section.
_OF_ORGANS = {
    "AND", "OF", "THE", "RIGHT", "LEFT", "BILATERAL", "UPPER", "LOWER", "MIDDLE", "MID", "MAIN",
    "CENTRAL", "LUNG", "LUNGS", "PULMONARY", "PARENCHYMA", "PARENCHYMAL", "INTERSTITIUM",
    "INTERSTITIAL", "AIRSPACE", "AIRSPACES", "AIRWAY", "AIRWAYS", "LOBE", "LOBES", "APEX",
    "APICES", "BASE", "BASES", "ZONE", "ZONES", "FIELD", "FIELDS", "VOLUME", "VOLUMES",
    "FISSURE", "FISSURES", "TRACHEA", "CARINA", "BRONCHUS", "BRONCHI", "BRONCHIAL", "MAINSTEM",
    "PLEURA", "PLEURAL", "SPACE", "SPACES", "COSTOPHRENIC", "ANGLE", "ANGLES", "SULCUS",
    "SULCI", "DIAPHRAGM", "DIAPHRAGMS", "HEMIDIAPHRAGM", "HEMIDIAPHRAGMS", "HEART", "CARDIAC",
    "CARDIOVASCULAR", "CARDIOMEDIASTINUM", "CARDIOMEDIASTINAL", "CARDIOPULMONARY",
    "MEDIASTINUM", "MEDIASTINAL", "SILHOUETTE", "CONTOUR", "CONTOURS", "SIZE", "AORTA",
    "AORTIC", "ARCH", "KNOB", "HILA", "HILAR", "HILUM", "VASCULATURE", "VASCULAR",
    "VASCULARITY", "VESSEL", "VESSELS", "SVC", "IVC", "ESOPHAGUS", "BONE", "BONES", "BONY",
    "OSSEOUS", "STRUCTURES", "SKELETON", "SKELETAL", "MUSCULOSKELETAL", "SPINE", "SPINAL",
    "THORACIC", "THORAX", "VERTEBRA", "VERTEBRAE", "VERTEBRAL", "RIB", "RIBS", "CLAVICLE",
    "CLAVICLES", "STERNUM", "SHOULDER", "SHOULDERS", "SCAPULA", "SCAPULAE", "CHEST", "WALL",
    "SOFT", "TISSUE", "TISSUES", "BREAST", "BREASTS", "AXILLA", "AXILLAE", "NECK", "ABDOMEN",
    "ABDOMINAL", "STOMACH", "BOWEL", "LIVER", "SPLEEN", "LINE", "LINES", "TUBE", "TUBES",
    "DEVICE", "DEVICES", "SUPPORT", "MONITORING", "INDWELLING", "MEDICAL", "HARDWARE",
    "EQUIPMENT", "CATHETER", "CATHETERS", "VENOUS", "PACEMAKER", "LEAD", "LEADS", "WIRE",
    "WIRES", "CLIPS", "DRAIN", "DRAINS", "PORT", "PICC", "ETT", "ENDOTRACHEAL", "TRACHEOSTOMY",
    "ENTERIC", "NASOGASTRIC", "FEEDING", "FOREIGN", "BODY", "BODIES", "EFFUSION", "EFFUSIONS",
    "PNEUMOTHORAX", "EDEMA", "CONSOLIDATION", "CONSOLIDATIONS", "ATELECTASIS", "OPACITY",
    "OPACITIES", "NODULE", "NODULES", "MASS", "MASSES", "CARDIOMEGALY", "FRACTURE", "FRACTURES",
}  # fmt: skip
# Beside FINDINGS: it is told who heard of them, or they come besides or from elsewhere.
_OF_TELLING = {
    "CRITICAL", "URGENT", "EMERGENT", "ACTIONABLE", "DISCUSSED", "COMMUNICATED", "COMMUNICATION",
    "CONVEYED", "RELAYED", "REPORTED", "NOTIFIED", "TELEPHONED", "PHONED", "CALLED", "REVIEWED",
    "CONFIRMED", "WITH", "TO", "BY",
}  # fmt: skip
_BESIDES = {
    "ADDITIONAL", "OTHER", "INCIDENTAL", "ANCILLARY", "EXTRA", "FURTHER", "CLINICAL", "PRIOR",
    "PREVIOUS", "MISCELLANEOUS", "SIGNIFICANT", "UNEXPECTED", "IMPORTANT",
}  # fmt: skip
# A line that ends in one is not the end of a sentence.
_GOES_ON = re.compile(
    r"(?:,|\b(?:a|an|and|as|at|by|for|from|in|into|is|are|near|of|on|or|over|the|to|via|with))\s*$"
)
# Ends a section in small letters, too.
_KNOWN = {
    "COMPARISON", "COMPARISONS", "INDICATION", "INDICATIONS", "TECHNIQUE", "HISTORY", "EXAMINATION",
    "RECOMMENDATION", "RECOMMENDATIONS", "NOTIFICATION", "ADDENDUM",
}  # fmt: skip
# One of which is in the headings that end findings as they should; others may cut them off.
_OF_SECTIONS = _KNOWN | _OF_TELLING | {
    "CLINICAL", "REASON", "EXAM", "EXAMS", "STUDY", "STUDIES", "PROCEDURE", "PROCEDURES", "DATE",
    "TIME", "PROVISIONAL", "PRELIMINARY", "WET", "READ", "REPORT", "DOSE", "CONTRAST", "REFERENCE",
    "DIAGNOSIS", "ATTENDING", "RADIOLOGIST", "SIGNED", "DICTATED", "SUMMARY", "OPINION",
}  # fmt: skip
FINDINGS, IMPRESSION, BOTH, VIEWS, OTHER = "findings", "impression", "both", "views", "other"
OF_A_KIND = "findings of a kind"  # LUNG FINDINGS, say
UNKNOWN = "unknown"  # by its words no section that a report has


class Found(NamedTuple):
    """The findings of a report on one line, "" if it has none, and the kind of their heading."""

    text: str
    kind: str
    is_cut: bool  # text that may be findings is left out, see `findings_of`


def findings_of(report: str) -> Found:
    """The findings of a report: FINDINGS before findings of a kind, FINDINGS AND IMPRESSION and the
    name of the views; of several the last that holds any text, as the data set's own parser does.

    Left out, and told, are the earlier ones of several, other findings of a kind, and text right
    behind the findings under a heading that is not known, names views or is of FINDINGS AND
    IMPRESSION.
    """
    found: dict[str, Found] = {}
    held = [(kind, "" if is_missing(text) else text) for kind, text in sections(report)]
    for (kind, text), (next_kind, left_out) in pairwise([*held, (OTHER, "")]):
        if text:
            is_cut = bool(left_out) and next_kind in (UNKNOWN, VIEWS, BOTH)
            found[kind] = Found(text, kind, is_cut)
    for kind in (FINDINGS, OF_A_KIND, BOTH, VIEWS):
        if kind in found:
            best = found[kind]
            besides = {text for other, text in held if other in (kind, OF_A_KIND)}
            return best._replace(is_cut=best.is_cut or bool(besides - {"", best.text}))
    return Found("", OTHER, False)


def sections(report: str) -> list[tuple[str, str]]:
    """Kind and text, its spaces and line breaks one space each, of each section in order.

    What stands before the first heading is left out.
    """
    found: list[tuple[str, list[str]]] = []
    for line in report.splitlines():
        heading = _HEADING.match(line)
        kind = _kind_of_line(heading, *(found[-1] if found else (OTHER, []))) if heading else None
        if heading and kind:
            found.append((kind, [line[heading.end() :]]))
        elif found:
            found[-1][1].append(line)
    return [(kind, " ".join(" ".join(lines).split())) for kind, lines in found]


def _kind_of_line(heading: re.Match[str], above: str, lines: list[str]) -> str | None:
    """None where the line is text after all, of the section `above`, which has `lines` so far."""
    name = next(filter(None, heading.groups()))
    kind, words = kind_of(name), set(_WORD.findall(name.upper()))
    if above in (FINDINGS, OF_A_KIND, BOTH):
        others = _besides_findings(words)
        has_text = any(line.strip() for line in lines)
        if others <= _OF_ORGANS and (kind == OF_A_KIND or (kind == VIEWS and has_text)):
            return None  # "LUNG FINDINGS:", "RIBS:"
    if kind != OTHER or heading[3]:
        return kind
    if words <= _OF_ORGANS:
        return None
    if heading[1] and not words & _OF_SECTIONS:
        return None if lines and _GOES_ON.search(lines[-1]) else UNKNOWN
    return OTHER if heading[1] or words & _KNOWN else None  # in small letters only what is known


@lru_cache(maxsize=4096)
def _is_like(word: str, known: str) -> bool:
    return bool(get_close_matches(word, [known], cutoff=0.8))


def _besides_findings(words: Iterable[str]) -> set[str]:
    return {word for word in words if not _is_like(word, "FINDINGS")}


def kind_of(heading: str) -> str:
    """What a heading announces: `FINDNGS` are findings, `FINDINGS/IMPRESSION` both."""
    words = _WORD.findall(heading.upper())
    others = _besides_findings(words)
    has_findings = len(others) < len(set(words))
    has_impression = any(
        (_is_like(word, "IMPRESSION") and word[0] == "I") or word == "CONCLUSION" for word in words
    )  # COMPRESSION is as like as IMPRESION
    if has_findings and has_impression:
        return BOTH
    if has_findings and others <= _OF_PICTURES:
        return FINDINGS
    if has_findings and not set(words[:2]) <= others and not others & (_OF_TELLING | _BESIDES):
        return OF_A_KIND
    if has_impression:
        return IMPRESSION
    is_of_views = _NAMES_VIEWS & set(words) and set(words) <= _OF_VIEWS
    return VIEWS if is_of_views else OTHER
