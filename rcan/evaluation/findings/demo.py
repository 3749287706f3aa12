"""Findings in demo reports, exactly: the wordings that reports are made of, read backwards."""

import re
from itertools import product

from rcan.data.findings import FINDINGS, Finding
from rcan.evaluation.findings.labeler import Labeler
from rcan.text.cleaning import CLEANERS

END = " ."  # of a sentence in cleaned text


def _sentence(wording: str) -> str:
    return CLEANERS["demo"](wording).removesuffix(END)


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
_MENTIONS = {finding.name: _mention(finding) for finding in FINDINGS}


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in text.split(END)]


def _read(text: str) -> frozenset[str]:
    return frozenset(
        name
        for sentence in _sentences(text)
        for name, mention in _MENTIONS.items()
        if mention.fullmatch(sentence)
    )


def _read_exactly(text: str) -> frozenset[str]:
    return frozenset(_LABEL_OF[each] for each in _sentences(text) if each in _LABEL_OF)


def _known(labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(label.partition("/")[0] for label in labels)


DEMO = Labeler(
    name="the demo's own wordings, read backwards: exact",
    findings=tuple(finding.name for finding in FINDINGS),
    read=_read,
    known=_known,
    normal=lambda labels: not labels,
    read_exactly=_read_exactly,
)
