"""A beam search written to be plain: lists, no cache, no early stop. What ours must equal."""

import math
from collections.abc import Callable

from model_parts import (
    BOS,
    EOS,
    PAD,
)

IDS = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD}
PENALTIES = (0.0, 0.5, 1.0, 2.0)
Report = tuple[int, ...]
NextWord = Callable[[Report], list[float]]  # log-probabilities after these words


def naive_search(
    next_word: NextWord, *, beam_size: int, max_length: int, penalty: float
) -> tuple[Report, float]:
    """What `beam_search` promises, for one study and one penalty, and always to the last word."""
    alive: list[tuple[float, Report]] = [(0.0, ())]
    best, best_score = (), -math.inf
    for length in range(1, max_length + 1):
        candidates = [
            (total + logprob, (*words, word))
            for total, words in alive
            for word, logprob in enumerate(next_word(words))
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        alive = []
        for total, words in candidates[:beam_size]:
            if words[-1] != EOS and length < max_length:
                alive.append((total, words))
            elif total / length**penalty > best_score:
                best, best_score = words, total / length**penalty
    return best, best_score


def padded(words: Report, max_length: int) -> list[int]:
    return [*words, *[PAD] * (max_length - len(words))]
