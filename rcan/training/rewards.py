"""What a written report is worth, or each of its sentences, for `policy_gradient`.

`cider`: CIDEr-D of the report, its end mark a word of it. `sentence_cider` and `sentence_bleu` are
by sentence: f being CIDEr-D or BLEU-4 of the report as far as it is written, sentence s gains
g_s = f(1..s) - f(1..s-1), so that all gains add up to f of the report, and each of its words gets

    R_s = g_s + γ · R_{s+1}.

The end mark is a sentence of its own, the decision to stop. (HRGR-Agent, Li et al., 1805.08298:
CIDEr; CMAS, Jing et al., 2004.12274: BLEU-4.)
"""

from collections.abc import Callable, Sequence

import numpy as np

from rcan.config.sections import Reward as Chosen
from rcan.errors import UserError
from rcan.evaluation.bleu import bleu_counts, bleu_of
from rcan.evaluation.cider import CiderD
from rcan.text.tokenizer import Tokenizer

# Reports as word ids, with their end marks, and the numbers (n,) of their studies -> what each
# report is worth, (n,), or each of its words, (n, longest report).
Reward = Callable[[Sequence[list[int]], np.ndarray], np.ndarray]
STOP = "."  # ends a sentence


def reward_of(chosen: Chosen, references: Sequence[Sequence[int]], words: Tokenizer) -> Reward:
    """The reward that `reward.kind` names; `references`: ids of all training reports, with eos.

    Raises `UserError` if the reports have nothing to compare with, or no sentences.
    """
    if chosen.kind == "cider":
        return CiderD(references, len(words))
    if STOP not in words.vocabulary:
        raise UserError(
            f"reward.kind: {chosen.kind} needs training reports whose sentences end with a full "
            "stop of its own; found none: choose cider"
        )
    score = CiderD(references, len(words)) if chosen.kind == "sentence_cider" else Bleu4(references)
    return SentenceGains(score, words.vocabulary[STOP], chosen.discount)


class Bleu4:
    """BLEU-4 of each report alone, as `rcan.evaluation.bleu` has it; end marks do not count."""

    def __init__(self, references: Sequence[Sequence[int]]) -> None:
        self.references = [_text(report) for report in references]

    def __call__(self, reports: Sequence[Sequence[int]], numbers: np.ndarray) -> np.ndarray:
        """(n,) float64: the score, 0 to 1, of each report against reference `numbers[i]`, (n,)."""
        references = [self.references[number] for number in numbers]
        scores: np.ndarray = bleu_of(bleu_counts([_text(r) for r in reports], references))[:, 3]
        return scores


def _text(report: Sequence[int]) -> str:
    return " ".join(str(word) for word in report if word != Tokenizer.eos_id)


class SentenceGains:
    """R_s of every word. `score`: f; `stop_id`: of the word that ends a sentence."""

    def __init__(self, score: Reward, stop_id: int, discount: float) -> None:
        self.score, self.stop_id, self.discount = score, stop_id, discount

    def __call__(self, reports: Sequence[list[int]], numbers: np.ndarray) -> np.ndarray:
        """(n, longest report) float64, 0 after a report's end."""
        ends = [self._ends(report) for report in reports]
        parts = [r[:end] for r, own in zip(reports, ends, strict=True) for end in own]
        scores = self.score(parts, np.repeat(numbers, [len(own) for own in ends]))
        worth = np.zeros((len(reports), max(map(len, reports))))
        for row, own in zip(worth, ends, strict=True):
            so_far, scores = scores[: len(own)], scores[len(own) :]
            gains, rest = np.diff(so_far, prepend=0.0), 0.0
            for start, end, gain in reversed([*zip([0, *own], own, gains, strict=False)]):
                rest = gain + self.discount * rest
                row[start:end] = rest
        return worth

    def _ends(self, report: list[int]) -> list[int]:
        """How many words the report has after each of its sentences."""
        ends = [place for place, word in enumerate(report, 1) if word == self.stop_id]
        return ends if ends and ends[-1] == len(report) else [*ends, len(report)]
