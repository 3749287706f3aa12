import pytest

from rcan.errors import UserError
from rcan.evaluation.protocols import PROTOCOLS, reference

VOCABULARY = {"the", "lungs", "are", "clear", "."}


@pytest.mark.parametrize(
    ("protocol", "text", "max_length", "expected"),
    [
        ("strict", "the lungs are hazy .", 3, "the lungs are hazy ."),
        ("strict", " the  lungs .", 60, "the lungs ."),
        ("strict", "", 60, ""),
        ("paper", "the lungs are hazy .", 60, "the lungs are <unk> ."),
        ("paper", "the lungs are clear .", 5, "the lungs are clear"),  # 5 -> 4 words
        ("paper", "the lungs are clear .", 6, "the lungs are clear ."),
        ("paper", " .", 60, "."),
        ("paper", "", 60, ""),
    ],
)
def test_references_follow_the_protocol(protocol, text, max_length, expected):
    assert reference(text, protocol, VOCABULARY, max_length) == expected


def test_paper_keeps_59_words_of_60():
    assert len(reference("clear " * 100, "paper", VOCABULARY, 60).split()) == 59


def test_an_unknown_protocol_is_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"strict, paper; got 'coco'"):
        reference("clear", "coco", VOCABULARY, 60)


def test_protocols_are_listed_strict_first():
    assert PROTOCOLS == ("strict", "paper")
