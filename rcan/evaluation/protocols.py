"""What a prediction is compared with: the whole cleaned report, or R2Gen's shortened one.

`strict`: the words of the cleaned text, all of them. They are joined by single spaces, for ROUGE-L
would count an empty word at a double one, which no prediction can hold.

`paper`: what R2Gen (and R2GenCMN, and RCAN after them) score against. R2Gen's references are not
the reports but its own training targets decoded back into words, so two things are lost on the way:

* a word outside the vocabulary (IU X-ray: seen fewer than 3 times in train) reads `<unk>`;
* the ids are `[0] + words + [0]` cut to `max_length`, so at most `max_length - 1` words are left
  (60 -> 59), and a report that was cut has lost its end. Predictions may have `max_length` words.

A perfect writer of the whole report therefore scores below 1 under `paper`.
"""

from collections.abc import Container

from rcan.errors import UserError

PROTOCOLS = ("strict", "paper")
UNKNOWN = "<unk>"


def reference(text: str, protocol: str, vocabulary: Container[str], max_length: int) -> str:
    """The reference of a study under a protocol.

    Args:
        text: the cleaned report; words are `text.split()`.
        protocol: one of `PROTOCOLS`.
        vocabulary: the words a model can write, from train alone (used by `paper`).
        max_length: words of a generated report at most (used by `paper`).

    Raises:
        UserError: unknown protocol.
    """
    words = text.split()
    if protocol == "strict":
        return " ".join(words)
    if protocol == "paper":
        words = words[: max_length - 1]
        return " ".join(word if word in vocabulary else UNKNOWN for word in words)
    raise UserError(
        f"expected a protocol of {', '.join(PROTOCOLS)}; got {protocol!r}; correct the setting"
    )
