"""Beam search over the model itself, word by word, against a naive one that recomputes it all."""

import itertools
from functools import cache

import pytest
import torch
from model_parts import (
    BOS,
    EOS,
    MAX_LENGTH,
    VOCABULARY,
    cross_entropy_of,
    losses_of,
    name_of,
    read,
    settings_with,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from naive_search import IDS, PENALTIES, NextWord, Report, naive_search, padded
from torch import Tensor

from rcan.generation.beam_search import beam_search
from rcan.generation.generate import generate
from rcan.model.build import build_model
from rcan.model.families.rcan.model import RCAN

KINDS = [
    {"model.use_cgm": False, "model.use_rve": False},
    {},
    {"cgm.gate": "response", "cgm.top_k": 4},
    {"cgm.fusion": "replace"},
]


REPORTS = tiny_reports([1, MAX_LENGTH - 1, 3, 5, 2])


@cache
@torch.enable_grad()
def learned(kind: int, num_steps: int) -> RCAN:
    """A model that has seen five reports so often: half learned, several continuations are likely
    everywhere and reports are of all lengths."""
    torch.manual_seed(0)
    off = {"model.use_wcl": False, "model.dropout": 0.0, "visual.frozen": True}
    model = build_model(settings_with(KINDS[kind] | off), VOCABULARY)
    images, projections = tiny_images(5)
    features = model.visual.cnn(images.flatten(0, 1)).unflatten(0, (5, 2))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for _ in range(num_steps):
        losses = losses_of(model.train(), features, projections, REPORTS)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    return model.eval()


every_kind = pytest.mark.parametrize("kind", range(len(KINDS)), ids=lambda k: name_of(KINDS[k]))


def next_word_of(model, images: Tensor, projections: Tensor) -> NextWord:
    """By RCAN.forward of the whole prefix, without any cache of the model's."""

    @cache
    def next_word(words: Report) -> list[float]:
        tokens = torch.tensor([[BOS, *words]])
        with torch.no_grad():
            return read(model, images, projections, tokens)[0][0, -1].log_softmax(-1).tolist()

    return next_word


def reports_of(model, images, projections, beam_size: int, penalties=PENALTIES):
    words, scores = beam_search(
        model.step, model.start(images, projections, beam_size, model.prepare()),
        num_studies=len(images),
        beam_size=beam_size, max_length=MAX_LENGTH, length_penalties=penalties, **IDS,
    )  # fmt: skip
    return words.tolist(), scores.tolist()


@every_kind
@torch.no_grad()
def test_the_models_reports_are_the_naive_searchs_token_for_token(kind):
    model, (images, projections) = learned(kind, 40), tiny_images(5)
    studies = [next_word_of(model, images[s : s + 1], projections[s : s + 1]) for s in range(5)]
    found = set()
    for beam_size in (1, 2, 3, 5):
        words, scores = reports_of(model, images, projections, beam_size)
        for (a, penalty), (s, next_word) in itertools.product(
            enumerate(PENALTIES), enumerate(studies)
        ):
            expected, score = naive_search(
                next_word, beam_size=beam_size, max_length=MAX_LENGTH, penalty=penalty
            )
            assert words[a][s] == padded(expected, MAX_LENGTH)
            assert scores[a][s] == pytest.approx(score, abs=1e-4)
            found.add((s, expected))
    assert len({len(words) for _, words in found}) >= 4
    assert len(found) > len(studies)  # widths and penalties made a difference


@every_kind
@torch.no_grad()
def test_a_score_is_what_teacher_forcing_gives_the_report(kind):
    model, (images, projections) = learned(kind, 40), tiny_images(5)
    words, scores = reports_of(model, images, projections, beam_size=3)
    for a, penalty in enumerate(PENALTIES):
        for s, report in enumerate(words[a]):
            length = report.index(EOS) + 1 if EOS in report else MAX_LENGTH
            tokens = torch.tensor([[BOS, *report[:length]]])
            one = slice(s, s + 1)
            logits = read(model, images[one], projections[one], tokens[:, :-1])[0]
            total = -length * cross_entropy_of(logits, tokens[:, 1:], pad_id=-1).item()
            assert scores[a][s] == pytest.approx(total / length**penalty, abs=1e-4)


@every_kind
def test_a_model_that_has_learned_five_reports_writes_them(kind):
    model, (images, projections) = learned(kind, 100), tiny_images(5)
    words, _ = reports_of(model, images, projections, beam_size=3, penalties=(0.0,))
    assert words[0] == REPORTS[:, 1:].tolist()


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(("bias", "report"), [(1e3, [EOS]), (-1e3, None)], ids=["at once", "never"])
@torch.no_grad()
def test_the_model_may_end_its_reports_at_once_or_never(beam_size, bias, report):
    model, (images, projections) = tiny_model(), tiny_images(3)
    model.classifier.bias[EOS] = bias
    words, _ = reports_of(model, images, projections, beam_size)
    for words_of_study in itertools.chain(*words):
        if report is None:
            assert EOS not in words_of_study and len(words_of_study) == MAX_LENGTH
        else:
            assert words_of_study == padded(tuple(report), MAX_LENGTH)


@every_kind
def test_generating_in_batches_of_any_size_gives_every_study_its_report_in_order(kind):
    model, (images, projections) = learned(kind, 40), tiny_images(5)

    def in_batches(size: int) -> list[list[list[int]]]:
        batches = [(images[i : i + size], projections[i : i + size]) for i in range(0, 5, size)]
        return generate(model, batches, beam_size=3, length_penalties=PENALTIES, **IDS)

    together = in_batches(5)
    assert in_batches(1) == in_batches(2) == together
    assert together == reports_of(model, images, projections, beam_size=3)[0]
    assert len({str(report) for reports in together for report in reports}) >= 3
