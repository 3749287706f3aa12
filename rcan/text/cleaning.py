"""Report cleaning exactly as R2Gen (Chen et al., 2020) does it, its damage included.

Published scores are computed on text cleaned this way, so every odd rule is kept: the list number
rule turns "L1. The" into "lthe", a missing space turns "limits.The" into "limitsthe".
Cleaned text is lower case, its tokens are `text.split()`, and full stops are ordinary tokens.
"""

import re

# ":-\[" is a range (from the colon to the bracket), not three characters: a slip in R2Gen that
# also keeps the hyphen. Letters A-Z lie in that range but are lower case by then.
_DELETED = re.compile(r"[.,?;*!%^&_+():-\[\]{}]")


def clean_iu_xray(report: str) -> str:
    """Clean an IU X-ray report; an empty one becomes " ."."""
    return _clean(_repeat(report, "..", ".", times=3))


def clean_mimic_cxr(report: str) -> str:
    """Clean a MIMIC-CXR report: newlines, runs of "_" and of spaces first, then as IU X-ray."""
    text = report.replace("\n", " ")
    text = _repeat(text, "__", "_", times=7)
    text = _repeat(text, "  ", " ", times=6)
    return _clean(_repeat(text, "..", ".", times=8))


def _clean(text: str) -> str:
    """Drop list numbers, then clean sentence by sentence; empty sentences keep their full stop."""
    text = text.replace("1. ", "")
    for before in (". ", " "):
        for number in "2345":
            text = text.replace(f"{before}{number}. ", ". ")
    sentences = text.strip().lower().split(". ")
    return " . ".join(_clean_sentence(sentence) for sentence in sentences) + " ."


def _clean_sentence(sentence: str) -> str:
    for character in "\"/\\'":
        sentence = sentence.replace(character, "")
    return _DELETED.sub("", sentence.strip())


def _repeat(text: str, old: str, new: str, *, times: int) -> str:
    """Replace `times` times over: each pass about halves a run, so long runs are not used up."""
    for _ in range(times):
        text = text.replace(old, new)
    return text
