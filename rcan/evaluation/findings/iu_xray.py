"""Findings in IU X-ray reports by mention and negation, sentence by sentence.

Beside them stand the `Problems` that Open-i's own indexers took from the whole report, the
impression included, which a model never sees: so even the reference reports do not reach 1.
Phrases were chosen on the training reports alone; docs/findings.md holds what they reach.
"""

import re
from dataclasses import dataclass

from rcan.evaluation.findings.labeler import Labeler

NORMAL, UNKNOWN = ("normal",), "no indexing"


@dataclass(frozen=True)
class Phrases:
    """One finding: the problems that are it, and what its mention looks like in cleaned text."""

    finding: str
    problems: tuple[str, ...]
    mention: str


PHRASES = (
    Phrases(
        "cardiomegaly",
        ("cardiomegaly", "cardiac shadow"),
        r"cardiomegaly"
        r"|(?:heart|cardiac|cardiomediastinal)\b[^.]*\b(?:enlarged|enlargement|prominent|large)"
        r"|enlarge\w* (?:\w+ ){0,2}(?:heart|cardiac|cardiomediastinal)"
        r"|borderline (?:\w+ )?heart|heart (?:\w+ ){0,3}borderline",
    ),
    Phrases(
        "lung volume",
        ("lung",),
        r"(?:low|decreased|reduced|diminished|shallow|large) lung volumes?"
        r"|lung volumes? (?:\w+ ){0,3}(?:low|decreased|reduced|diminished)"
        r"|hypoinflat\w+|hypoventilat\w+|hyperinflat\w+|hyperexpan\w+|hyperaerat\w+|overinflat\w+",
    ),
    Phrases(
        "opacity",
        ("opacity", "airspace disease", "infiltrate", "consolidation", "pneumonia", "density"),
        r"opacit\w+|opacifi\w+|infiltrat\w+|consolidat\w+|(?:airspace|air space) disease"
        r"|pneumonia|densit\w+",
    ),
    Phrases("atelectasis", ("pulmonary atelectasis", "volume loss"), r"atelecta\w+|volume loss"),
    Phrases(
        "pleural effusion",
        ("pleural effusion", "costophrenic angle"),
        r"effusions?|pleural fluid|blunt\w+",
    ),
    Phrases(
        "pneumothorax",
        ("pneumothorax", "hydropneumothorax", "hemopneumothorax"),
        r"pneumothora\w+|hydropneumothorax",
    ),
    Phrases(
        "congestion or edema",
        ("pulmonary congestion", "pulmonary edema", "heart failure"),
        r"congest\w+|edema|heart failure|chf|engorge\w+|cephalization"
        r"|prominen\w+ (?:\w+ ){0,3}vascula\w+|vascula\w+ (?:\w+ ){0,2}prominen\w+",
    ),
    Phrases(
        "emphysema",
        (
            "emphysema", "pulmonary emphysema", "bullous emphysema", "lung, hyperlucent",
            "pulmonary disease, chronic obstructive",
        ),
        r"(?<!subcutaneous )emphysem\w+|copd|obstructive|hyperlucen\w+|bulla\w*",
    ),
    Phrases(
        "granuloma",
        ("calcified granuloma", "granuloma", "granulomatous disease"),
        r"granuloma\w*",
    ),
    Phrases("nodule or mass", ("nodule", "mass"), r"nodules?|nodulemass|mass(?:es)?"),
    Phrases("scar", ("cicatrix", "pulmonary fibrosis"), r"scar\w*|fibro\w+"),
    Phrases(
        "aorta",
        ("aorta", "aorta, thoracic", "atherosclerosis", "aortic aneurysm"),
        r"tort\w+|ecta\w+|unfold\w+|atherosclero\w+",
    ),
    Phrases(
        "spine",
        (
            "thoracic vertebrae", "spine", "lumbar vertebrae", "cervical vertebrae", "spondylosis",
            "osteophyte", "scoliosis", "kyphosis", "hyperostosis, diffuse idiopathic skeletal",
        ),
        r"degenerative(?![^.]*(?:shoulder|clavicular|humer|knee|ankle))|generative"
        r"|spondyl\w+|osteophyt\w+|syndesmophyt\w+|(?:dextro|levo)?scolio\w+|kypho\w+|spur\w*"
        r"|(?:\w+)?curvature|endplate changes|dish",
    ),
    Phrases(
        "fracture or deformity",
        ("fractures, bone", "deformity"),
        r"fractur\w+|(?<!pectus )(?<!excavatum )deformit\w+|compression|wedg\w+",
    ),
    Phrases("hernia", ("hernia, hiatal", "hernia, diaphragmatic"), r"hernia\w*"),
    Phrases(
        "device",
        (
            "catheters, indwelling", "surgical instruments", "implanted medical device",
            "medical device", "tube, inserted", "stents", "spinal fusion", "sutures",
        ),
        r"catheters?|picc|port|central (?:venous )?line|pacemaker|a?icd|tubes?|tracheostomy|stents?"
        r"|clips?|sutures?|staples?|hardware|anchors?|prosthe\w+|arthroplasty|tip",
    ),
)  # fmt: skip

CLAUSE = re.compile(r"\b(?=(?:but|however|although|though|except|otherwise|there (?:is|are))\b)")
NOT_A_DENIAL = re.compile(r"\bno (?:\w+ ){0,2}change|\bnot (?:\w+ )?changed|\bnot excluded")
DENIAL = re.compile(r"\b(?:no|not|without|free of|negative for|clear of|absence of|nor|never)\b")
DENIED = re.compile(
    r"\b(?:is|are|was|were) (?:\w+ )?not\b|\bnot (?:seen|identified|evident|visualized)"
    r"|\b(?:resolved|absent|cleared|removed|unremarkable)\b"
)
_MENTIONS = {phrases.finding: re.compile(rf"\b(?:{phrases.mention})\b") for phrases in PHRASES}
_OF_PROBLEM = {problem: phrases.finding for phrases in PHRASES for problem in phrases.problems}


def _read(text: str) -> frozenset[str]:
    clauses = [clause for sentence in text.split(" .") for clause in CLAUSE.split(sentence)]
    return frozenset(finding for clause in clauses for finding in _affirmed(clause))


def _affirmed(clause: str) -> list[str]:
    """The findings of which the clause has a mention before its denial, if it has one."""
    clause = NOT_A_DENIAL.sub("", clause)
    denial = DENIAL.search(clause)
    end = denial.start() if denial else len(clause)
    denied = [match.end() for match in DENIED.finditer(clause)]
    start = denied[-1] if denied else 0
    return [
        finding
        for finding, mention in _MENTIONS.items()
        if any(start <= match.start() and match.end() <= end for match in mention.finditer(clause))
    ]


def _known(labels: tuple[str, ...]) -> frozenset[str] | None:
    if UNKNOWN in labels:
        return None
    return frozenset(_OF_PROBLEM[label] for label in labels if label in _OF_PROBLEM)


def _normal(labels: tuple[str, ...]) -> bool | None:
    return None if UNKNOWN in labels else labels == NORMAL


IU_XRAY = Labeler(
    name="phrases and denials (docs/findings.md) beside Open-i's Problems",
    findings=tuple(phrases.finding for phrases in PHRASES),
    read=_read,
    known=_known,
    normal=_normal,
)
