"""Findings in reports: a labeler a data set.

The demo's reads the wordings that reports are made of backwards, exactly.

IU X-ray's goes by mention and negation, sentence by sentence. Beside what it finds stand the
`Problems` that Open-i's own indexers took from the whole report, the impression included, which a
model never sees: so even the reference reports do not reach 1. Phrases were chosen on the training
reports alone; docs/findings.md holds what they reach.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from rcan.data.sets.demo_findings import FINDINGS, Finding
from rcan.text.cleaning import clean_iu_xray


@dataclass(frozen=True)
class Labeler:
    """Names findings in the reports of one data set, and in the labels that it brings."""

    name: str  # of the method, for whoever reads its scores
    findings: tuple[str, ...]  # in the order in which tables list them
    read: Callable[[str], frozenset[str]]  # those that a cleaned report says there are
    known: Callable[[tuple[str, ...]], frozenset[str] | None]  # of a study's labels; None: unknown
    normal: Callable[[tuple[str, ...]], bool | None]  # whether they say that all is normal
    read_exactly: Callable[[str], frozenset[str]] | None = None  # labels with side, size and place


_END = " ."  # of a sentence in cleaned text


def _sentence(wording: str) -> str:
    return clean_iu_xray(wording).removesuffix(_END)


def _worded(finding: Finding) -> dict[str, str]:
    """Each sentence that tells of the finding -> its label with all attributes."""
    return {
        _sentence(wording.format(*attributes)): "/".join((finding.name, *attributes))
        for wording in finding.present
        for attributes in product(*finding.attributes)
    }


def _mention(finding: Finding) -> re.Pattern[str]:
    """The same sentences, but a side that is named twice may differ: a model may contradict itself,
    and still tells of the finding."""
    names = [f"attribute-{number}" for number in range(len(finding.attributes))]
    pattern = "|".join(re.escape(_sentence(text.format(*names))) for text in finding.present)
    for name, choices in zip(names, finding.attributes, strict=True):
        pattern = pattern.replace(re.escape(name), f"(?:{'|'.join(choices)})")
    return re.compile(pattern)


_LABEL_OF = {text: label for finding in FINDINGS for text, label in _worded(finding).items()}
_WORDINGS = {finding.name: _mention(finding) for finding in FINDINGS}


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in text.split(_END)]


def _read_demo(text: str) -> frozenset[str]:
    return frozenset(
        name
        for sentence in _sentences(text)
        for name, mention in _WORDINGS.items()
        if mention.fullmatch(sentence)
    )


def _read_exactly(text: str) -> frozenset[str]:
    return frozenset(_LABEL_OF[each] for each in _sentences(text) if each in _LABEL_OF)


def _known_demo(labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(label.partition("/")[0] for label in labels)


DEMO = Labeler(
    name="the demo's own wordings, read backwards: exact",
    findings=tuple(finding.name for finding in FINDINGS),
    read=_read_demo,
    known=_known_demo,
    normal=lambda labels: not labels,
    read_exactly=_read_exactly,
)


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

LABELERS = {"demo": DEMO, "iu_xray": IU_XRAY}  # MIMIC-CXR brings no labels here
