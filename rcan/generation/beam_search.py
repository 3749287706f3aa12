"""Beam search over anything that has `step(tokens, state) -> logprobs, state`; it knows no model.

Scores are sums of log-probabilities, divided by length^penalty (0: the plain sum, as the paper).
The penalty decides which *finished* report wins and nothing before, so one search answers every
penalty of a list. It stops as soon as no beam alive could still win under any of them.

Shapes: B studies, K beams, Y vocabulary, T words at most, A length penalties.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor


class State(Protocol):
    """What `step` carries along; the search only asks it to follow the beams."""

    def reorder(self, beams: Tensor) -> "State":
        """Beam k of study b goes on from beam `beams[b, k]` of the same study."""


S = TypeVar("S", bound=State)
Step = Callable[[Tensor, S], tuple[Tensor, S]]


@torch.no_grad()
def beam_search(
    step: Step, state: S, *, num_studies: int, beam_size: int, max_length: int,
    bos_id: int, eos_id: int, pad_id: int,
    length_penalties: Sequence[float] = (0.0,), device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Best report of every study under every length penalty.

    `step` takes the last words (B, K) and gives log-probabilities (B, K, Y) of the next ones. A
    report ends with `eos_id`, or without it at `max_length` words. Its length counts the end mark.
    Of equal scores the report finished first wins. Penalties must not be negative.

    Returns words (A, B, T), filled up with `pad_id` and without `bos_id`, and scores (A, B).
    """
    B, K, T = num_studies, beam_size, max_length
    penalties = torch.tensor(length_penalties, dtype=torch.float32, device=device).view(-1, 1)
    A = len(penalties)
    words = torch.full((B, K, T), pad_id, dtype=torch.long, device=device)
    best_words = torch.full((A, B, T), pad_id, dtype=torch.long, device=device)
    best = torch.full((A, B), float("-inf"), device=device)
    sums = torch.full((B, K), float("-inf"), device=device)
    sums[:, 0] = 0.0  # all beams start alike: only the first counts
    tokens = torch.full((B, K), bos_id, dtype=torch.long, device=device)

    for length in range(1, T + 1):
        logprobs, state = step(tokens, state)
        candidates = (sums.unsqueeze(-1) + logprobs).flatten(1)  # (B, K·Y)
        sums, index = candidates.topk(K)
        beams, tokens = index // logprobs.shape[-1], index % logprobs.shape[-1]
        words = words.gather(1, beams.unsqueeze(-1).expand(-1, -1, T))
        words[:, :, length - 1] = tokens

        finished = (tokens == eos_id) | (length == T)
        ended = sums.masked_fill(~finished, float("-inf")) / length ** penalties.unsqueeze(-1)
        score, winner = ended.max(-1)  # (A, B)
        winning = words.gather(1, winner.T.unsqueeze(-1).expand(-1, -1, T)).transpose(0, 1)
        better = score > best
        best_words = torch.where(better.unsqueeze(-1), winning, best_words)
        best = torch.where(better, score, best)

        sums = sums.masked_fill(finished, float("-inf"))
        # Log-probabilities only lower a sum, and no report is longer than T.
        reachable = sums.max(1).values / T**penalties  # (A, B)
        if length == T or bool((reachable <= best).all()):
            break
        state = state.reorder(beams)
    return best_words, best
