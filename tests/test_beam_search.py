"""Beam search against a naive one, on scripted models: any function of the words so far."""

import itertools
import math
from functools import cache

import pytest
import torch
from model_parts import (
    BOS,
    EOS,
    PAD,
)
from naive_search import IDS, PENALTIES, NextWord, Report, naive_search, padded
from torch import Tensor

from rcan.generation.beam_search import beam_search


class Script:
    """The state: the words of every beam, followed the slow way; counts its steps, and the studies
    of each."""

    def __init__(self, studies: list[NextWord], beam_size: int) -> None:
        self.studies = studies
        self.beams: list[list[Report]] = [[()] * beam_size for _ in studies]
        self.num_steps = 0
        self.sizes: list[int] = []

    def step(self, tokens: Tensor, state: "Script") -> Tensor:
        assert state is self
        if self.num_steps == 0:
            assert (tokens == BOS).all()
        else:
            self.beams = [
                [(*words, token) for words, token in zip(beams, row, strict=True)]
                for beams, row in zip(self.beams, tokens.tolist(), strict=True)
            ]
        self.num_steps += 1
        self.sizes.append(len(self.studies))
        logprobs = [
            [next_word(words) for words in beams]
            for next_word, beams in zip(self.studies, self.beams, strict=True)
        ]
        return torch.tensor(logprobs, dtype=torch.float32)

    def reorder(self, beams: Tensor) -> None:
        self.beams = [
            [old[k] for k in row] for old, row in zip(self.beams, beams.tolist(), strict=True)
        ]

    def keep(self, studies: Tensor) -> None:
        self.studies = [self.studies[i] for i in studies.tolist()]
        self.beams = [self.beams[i] for i in studies.tolist()]


def search(studies: list[NextWord], *, beam_size: int, max_length: int, penalties=(0.0,)):
    script = Script(studies, beam_size)
    words, scores = beam_search(
        script.step, script, num_studies=len(studies), beam_size=beam_size,
        max_length=max_length, length_penalties=penalties, **IDS,
    )  # fmt: skip
    assert words.shape == (len(penalties), len(studies), max_length)
    assert scores.shape == (len(penalties), len(studies))
    return words.tolist(), scores.tolist(), script.num_steps


def random_model(seed: int, vocabulary: int = 6, sharpness: float = 2.0) -> NextWord:
    """Its own distribution after every prefix."""

    @cache
    def next_word(words: Report) -> list[float]:
        generator = torch.Generator().manual_seed(hash((seed, *words)) % 2**31)
        logits = torch.randn(vocabulary, generator=generator) * sharpness
        return logits.log_softmax(0).tolist()

    return next_word


def unlikely(words: dict[int, float], vocabulary: int = 6) -> list[float]:
    """Log-probabilities of a few words; all others' is -100."""
    return [words.get(word, -100.0) for word in range(vocabulary)]


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_random_scripts_get_the_naive_searchs_reports_under_every_penalty(beam_size, sharpness):
    lengths = set()
    for batch in range(6):
        studies = [random_model(10 * batch + s, sharpness=sharpness) for s in range(4)]
        words, scores, _ = search(studies, beam_size=beam_size, max_length=7, penalties=PENALTIES)
        for (a, penalty), (s, next_word) in itertools.product(
            enumerate(PENALTIES), enumerate(studies)
        ):
            expected, score = naive_search(
                next_word, beam_size=beam_size, max_length=7, penalty=penalty
            )
            assert words[a][s] == padded(expected, 7)
            assert scores[a][s] == pytest.approx(score, abs=1e-5)
            lengths.add(len(expected))
    assert len(lengths) >= 4


def test_penalties_searched_together_are_penalties_searched_alone():
    studies = [random_model(seed) for seed in range(12)]
    together = search(studies, beam_size=3, max_length=7, penalties=PENALTIES)
    for a, penalty in enumerate(PENALTIES):
        alone = search(studies, beam_size=3, max_length=7, penalties=(penalty,))
        assert alone[0][0] == together[0][a] and alone[1][0] == together[1][a]
    assert len({str(words) for words in together[0]}) == len(PENALTIES)


def test_studies_of_a_batch_do_not_touch_each_other():
    studies = [random_model(seed) for seed in range(12)]
    words, scores, _ = search(studies, beam_size=3, max_length=7, penalties=(0.0, 1.0))
    for s, next_word in enumerate(studies):
        alone = search([next_word], beam_size=3, max_length=7, penalties=(0.0, 1.0))
        assert [of_penalty[s] for of_penalty in words] == [one[0] for one in alone[0]]
        assert [of_penalty[s] for of_penalty in scores] == [one[0] for one in alone[1]]


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_beam_wide_enough_finds_the_best_report_of_all(penalty):
    vocabulary, longest, missed = 4, 4, 0
    for seed in range(6):
        next_word = random_model(seed, vocabulary, sharpness=1.5)
        everything = []
        for length in range(1, longest + 1):
            for words in itertools.product(range(vocabulary), repeat=length):
                if EOS in words[:-1] or (words[-1] != EOS and length < longest):
                    continue
                total = sum(next_word(words[:t])[word] for t, word in enumerate(words))
                everything.append((total / length**penalty, words))
        best_score, best = max(everything)
        words, scores, _ = search(
            [next_word], beam_size=4**4, max_length=longest, penalties=(penalty,)
        )
        assert words[0][0] == padded(best, longest)
        assert scores[0][0] == pytest.approx(best_score, abs=1e-5)
        greedy = search([next_word], beam_size=1, max_length=longest, penalties=(penalty,))
        missed += greedy[0] != words
    assert missed  # or else there was nothing to search for


def test_a_beam_of_one_is_greedy():
    for seed in range(10):
        next_word, greedy = random_model(seed), []
        while len(greedy) < 7 and EOS not in greedy:
            scores = next_word(tuple(greedy))
            greedy.append(scores.index(max(scores)))
        words, _, _ = search([next_word], beam_size=1, max_length=7)
        assert words[0][0] == padded(tuple(greedy), 7)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_report_may_be_empty(beam_size):
    words, scores, num_steps = search(
        [lambda words: unlikely({EOS: -0.1})], beam_size=beam_size, max_length=5
    )
    assert words == [[[EOS, PAD, PAD, PAD, PAD]]]
    assert scores[0][0] == pytest.approx(-0.1)
    assert num_steps == 1


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_report_that_never_ends_is_cut_at_the_longest_and_has_no_end_mark(beam_size):
    never = unlikely({3: -0.1, 4: -3.0, 5: -4.0, EOS: -math.inf})
    words, scores, num_steps = search(
        [lambda words: never], beam_size=beam_size, max_length=5, penalties=(0.0, 1.0)
    )
    assert words == [[[3] * 5]] * 2
    assert scores == [[pytest.approx(-0.5)], [pytest.approx(-0.1)]]
    assert num_steps == 5


def test_the_end_mark_counts_as_a_word_of_the_length():
    def next_word(words):
        return unlikely({3: -1.0} if len(words) < 2 else {EOS: -1.0})

    words, scores, _ = search([next_word], beam_size=2, max_length=6, penalties=(1.0, 2.0))
    assert words[0][0] == [3, 3, EOS, PAD, PAD, PAD]
    assert scores == [[pytest.approx(-3 / 3)], [pytest.approx(-3 / 9)]]


def test_of_equal_scores_the_report_finished_first_wins():
    # "2" and "3 2" both sum to -2, exactly; "3 3 2" to -2 as well.
    def next_word(words):
        return unlikely({0: {EOS: -2.0, 3: -1.0}, 1: {EOS: -1.0, 3: -0.5}, 2: {EOS: -0.5}}[
            min(len(words), 2)])  # fmt: skip

    words, scores, _ = search([next_word], beam_size=2, max_length=4)
    assert words[0][0] == [EOS, PAD, PAD, PAD]
    assert scores[0][0] == -2.0


def test_equal_scores_under_a_penalty_leave_the_report_finished_first():
    # Means: "2" is -1; "3 2" is (-1 - 1) / 2 = -1; both exactly. Sums: -1 against -2.
    def next_word(words):
        return unlikely({EOS: -1.0, 3: -1.0})

    words, scores, _ = search([next_word], beam_size=2, max_length=3, penalties=(1.0, 0.0))
    assert [of_penalty[0] for of_penalty in words] == [[EOS, PAD, PAD]] * 2
    assert scores == [[-1.0], [-1.0]]


def test_the_search_stops_when_nobody_can_win_any_more():
    confident = unlikely({EOS: -0.125, 3: -4.0, 4: -5.0})
    _, _, num_steps = search([lambda words: confident], beam_size=3, max_length=20)
    assert num_steps == 1
    tied = unlikely({EOS: -1.0, 3: -1.0})  # the other beam can no more than reach what is there
    _, _, num_steps = search([lambda words: tied], beam_size=2, max_length=20)
    assert num_steps == 1
    # Under the mean the beam at -4 could still reach -4 / 20 > -0.25, but not after a second word.
    hopeful = unlikely({EOS: -0.25, 3: -4.0, 4: -5.0})
    words, _, num_steps = search(
        [lambda words: hopeful], beam_size=3, max_length=20, penalties=(1.0,)
    )
    assert num_steps == 2 and words[0][0] == padded((EOS,), 20)


def test_the_search_goes_on_while_one_penalty_or_one_study_needs_it():
    def slow(words):  # "2" sums to -1; "3 3 3 2" to -1.5, but has the better mean
        return unlikely({EOS: -1.0 if len(words) < 3 else -0.125, 3: -0.4583})

    quick = unlikely({EOS: -0.125, 3: -9.0})
    plain = search([slow], beam_size=2, max_length=4)
    assert plain[0][0][0] == padded((EOS,), 4) and plain[2] == 3
    words, scores, num_steps = search(
        [lambda words: quick, slow], beam_size=2, max_length=4, penalties=(0.0, 1.0)
    )
    assert num_steps == 4
    assert words[0] == [padded((EOS,), 4), padded((EOS,), 4)]
    assert words[1] == [padded((EOS,), 4), [3, 3, 3, EOS]]
    assert scores[1][1] == pytest.approx(-1.5 / 4, abs=1e-4)


def test_stopping_early_saves_steps_and_changes_nothing():
    steps = 0
    for seed in range(20):
        next_word = random_model(seed, sharpness=4.0)
        words, scores, num_steps = search([next_word], beam_size=3, max_length=12)
        expected, score = naive_search(next_word, beam_size=3, max_length=12, penalty=0.0)
        assert words[0][0] == padded(expected, 12)
        assert scores[0][0] == pytest.approx(score, abs=1e-5)
        steps += num_steps
    assert steps < 20 * 12 * 0.8


def tied_model(seed: int, vocabulary: int = 6) -> NextWord:
    """Log-probabilities of -1 to -3: sums are exact, and many of them equal."""

    @cache
    def next_word(words: Report) -> list[float]:
        generator = torch.Generator().manual_seed(hash((seed, *words)) % 2**31)
        return (-torch.randint(1, 4, (vocabulary,), generator=generator).float()).tolist()

    return next_word


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_of_equal_candidates_the_better_beams_goes_first_then_the_lower_word(beam_size):
    studies = [tied_model(seed) for seed in range(24)]
    words, scores, _ = search(studies, beam_size=beam_size, max_length=6, penalties=(0.0, 1.0))
    for (a, penalty), (s, next_word) in itertools.product(
        enumerate((0.0, 1.0)), enumerate(studies)
    ):
        expected, score = naive_search(
            next_word, beam_size=beam_size, max_length=6, penalty=penalty
        )
        assert words[a][s] == padded(expected, 6)
        assert scores[a][s] == pytest.approx(score, abs=1e-6)


def ending_after(length: int) -> NextWord:
    """Surely a report of so many words and the end mark; all else is hopeless."""
    return lambda words: unlikely({EOS if len(words) >= length else 3: -0.01, 4: -30.0, 5: -40.0})


def test_studies_that_are_done_leave_when_they_are_half_of_those_searched():
    lengths = [7, 1, 3, 1, 5, 3, 2, 2]
    script = Script([ending_after(length) for length in lengths], beam_size=2)
    words, _ = beam_search(script.step, script, num_studies=8, beam_size=2, max_length=10, **IDS)
    assert words[0].tolist() == [padded((*[3] * length, EOS), 10) for length in lengths]
    # Step 2 ends two of eight, step 3 two more, step 4 two of four, step 6 one of two, step 8 all.
    assert script.sizes == [8, 8, 8, 4, 2, 2, 1, 1]


def test_a_beam_wider_than_the_vocabulary_starts_from_what_there_is():
    next_word = random_model(3, vocabulary=4)
    words, scores, _ = search([next_word], beam_size=7, max_length=5)
    expected, score = naive_search(next_word, beam_size=7, max_length=5, penalty=0.0)
    assert words[0][0] == padded(expected, 5)
    assert scores[0][0] == pytest.approx(score, abs=1e-5)
