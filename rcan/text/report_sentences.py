"""Sentences of cleaned reports, and which of them say that all is well."""

from collections.abc import Sequence

NORMAL_WORDS = frozenset({"no", "normal", "clear", "stable"})  # as whole words


def sentences_of(text: str) -> list[list[str]]:
    """The words of each sentence of a cleaned report, without its "."; one may be empty."""
    found: list[list[str]] = [[]]
    for word in text.split():
        if word == ".":
            found.append([])
        else:
            found[-1].append(word)
    return found if found[-1] else found[:-1]


def is_abnormal(sentence: Sequence[str]) -> bool:
    """Whether a sentence has words, and none of `NORMAL_WORDS` among them."""
    return bool(sentence) and NORMAL_WORDS.isdisjoint(sentence)
