"""Rewards by sentence: gains that add up to the report's own score."""

from math import exp

import numpy as np
import pytest

from rcan.config.sections import Reward
from rcan.errors import UserError
from rcan.evaluation.bleu import bleu
from rcan.evaluation.cider import CiderD
from rcan.text.tokenizer import Tokenizer
from rcan.training.rewards import Bleu4, SentenceGains, reward_of

TEXTS = ["lungs are clear . heart is normal .", "heart is normal . no effusion .", "no effusion ."]
WORDS = Tokenizer.train(TEXTS, 1)
TRAIN = [WORDS.encode(text, 60)[1:] for text in TEXTS]
STOP, EOS = WORDS.vocabulary["."], WORDS.eos_id
SECOND, NUMBERS = np.array([1]), np.array([0, 1, 2, 0])


def ids(text: str) -> list[int]:
    return WORDS.encode(text, 60)[1:]


def reward(kind, discount=1.0):
    return reward_of(Reward(share=0.5, kind=kind, lr=0.1, discount=discount), TRAIN, WORDS)


def test_bleu_4_is_that_of_the_evaluation():
    written = ["heart is normal . lungs are clear .", "heart is normal .", "effusion", ""]
    scores = Bleu4(TRAIN)([ids(text) for text in written], NUMBERS)
    for text, number, score in zip(written, NUMBERS, scores, strict=True):
        assert score == bleu([text], [TEXTS[number]])["BLEU-4"]
    assert scores[1] == pytest.approx(exp(1 - 7 / 4))  # all of it right, and too short


@pytest.mark.parametrize("kind", ["sentence_cider", "sentence_bleu"])
def test_the_gains_of_all_sentences_are_the_score_of_the_report(kind):
    score = CiderD(TRAIN, len(WORDS)) if kind == "sentence_cider" else Bleu4(TRAIN)
    reports = [ids("heart is normal . no effusion ."), ids("."), ids(""), ids("lungs . . no")]
    reports += [[*report[:-1]] for report in reports if len(report) > 1]  # no end mark
    numbers = np.array([1, 0, 2, 0, 1, 2, 1])
    whole, to_go = score(reports, numbers), reward(kind)(reports, numbers)
    assert to_go.shape == (7, 8) and np.any(whole > 0)
    assert to_go[:, 0] == pytest.approx(whole)  # undiscounted, the first gets all
    gains = reward(kind, discount=0.0)(reports, numbers)
    for report, row, total in zip(reports, gains, whole, strict=True):
        firsts = [p for p in range(len(report)) if p == 0 or report[p - 1] == STOP]
        assert row[firsts].sum() == pytest.approx(total)
        assert (row[len(report) :] == 0).all()
        for place in set(range(len(report))) - set(firsts):
            assert row[place] == row[place - 1]


def test_a_wrong_sentence_costs_and_the_end_mark_is_a_sentence_of_its_own():
    report = ids("heart is normal . no effusion . lungs clear .")
    one, two, wrong, end = reward("sentence_bleu", 0.0)([report], SECOND)[0, [0, 4, 7, 10]]
    assert one == pytest.approx(exp(1 - 7 / 4)) and two == pytest.approx(1 - one)
    assert wrong < -0.2 and end == 0  # BLEU does not see it
    assert reward("sentence_cider", 0.0)([[*report[:7], EOS]], SECOND)[0, 7] > 0  # CIDEr-D does
    discounted = reward("sentence_bleu", 0.5)([report], SECOND)[0]
    assert discounted[0] == pytest.approx(one + two / 2 + wrong / 4)
    assert discounted[4] == pytest.approx(two + wrong / 2) == discounted[6]


def test_gains_by_hand():
    by_count = SentenceGains(lambda parts, _: np.array([float(len(p)) for p in parts]), 9, 0.5)
    found = by_count([[1, 9, 2, 3, 9, 0], [4]], np.array([0, 1]))
    assert found.tolist() == [[3.75, 3.75, 3.5, 3.5, 3.5, 1.0], [1.0, 0, 0, 0, 0, 0]]


def test_the_report_as_a_whole_is_worth_its_cider():
    reports = [ids("no effusion ."), ids("heart is normal .")]
    assert np.array_equal(
        reward("cider")(reports, np.array([2, 1])),
        CiderD(TRAIN, len(WORDS))(reports, np.array([2, 1])),
    )


def test_reports_without_full_stops_have_no_sentences():
    words = Tokenizer.train(["lungs are clear"], 1)
    chosen = Reward(share=0.5, kind="sentence_bleu", lr=0.1, discount=1.0)
    with pytest.raises(UserError, match="sentence_bleu needs training reports whose sentences"):
        reward_of(chosen, [words.encode("lungs", 9)[1:]], words)
