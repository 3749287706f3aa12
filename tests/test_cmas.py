"""CMAS: what the planner reads, whose sentence is whose, which sentences are abnormal."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_parts import (
    BOS,
    EOS,
    PAD,
    VOCABULARY,
    batch_of,
    close,
    randomise,
    settings_with,
    tiny_images,
)
from torch import Tensor

from rcan.data.batches import Batch
from rcan.data.knowledge.cmas import learn
from rcan.data.sets.demo_findings import FINDINGS, report_on, see
from rcan.errors import UserError
from rcan.evaluation.labelers import DEMO
from rcan.model.build import build_model
from rcan.model.interface import Alone, Knowledge
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

STOP, MOST = 3, 3
# Two sentences; one; three and a piece of a fourth; one that is cut.
REPORTS = torch.tensor(
    [
        [BOS, 4, 5, STOP, 6, 7, 8, STOP, EOS, PAD],
        [BOS, 9, STOP, EOS, PAD, PAD, PAD, PAD, PAD, PAD],
        [BOS, 4, STOP, 5, STOP, 6, STOP, 7, STOP, EOS],
        [BOS, 4, 5, 6, 7, EOS, PAD, PAD, PAD, PAD],
    ]
)
ABNORMAL = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 0]])


def model_of(abnormal: Tensor = ABNORMAL):
    marks = torch.tensor([BOS, STOP, EOS])
    settings = settings_with({"model.family": "cmas", "cmas.max_sentences": MOST})
    knowledge = Knowledge({"marks": marks}, {"abnormal": abnormal})
    return randomise(build_model(settings, VOCABULARY, knowledge)).eval()


def batch_for(numbers: list[int]) -> Batch:
    images, projections = tiny_images(len(REPORTS))
    seen = images[numbers], projections[numbers]
    return Batch(*seen, REPORTS[numbers], PAD, torch.tensor(numbers))


def losses_for(model, numbers: list[int]) -> dict[str, Tensor]:
    batch = batch_for(numbers)
    return model.losses(model(batch), batch, Alone())


@torch.no_grad()
def test_the_planner_reads_the_sentence_before_and_not_the_one_it_plans():
    model, (images, projections) = model_of(), tiny_images(1)
    parts = []
    for word in (5, 10):
        tokens = torch.tensor([[BOS, 4, STOP, 6, word, STOP, 8]])
        parts.append(model(batch_of(images, projections, tokens)).parts)
    for name in ("stop", "chosen"):
        before, after = (part[name][0] for part in parts)
        assert torch.equal(before[:5], after[:5])  # sentences 0 and 1, the changed one
        assert not torch.isclose(before[5:], after[5:]).any()  # sentence 2
    said = [part["said"][0] for part in parts]
    assert torch.equal(said[0][:4], said[1][:4]) and not close(said[0][4], said[1][4])


@torch.no_grad()
def test_a_report_is_as_likely_as_all_choices_of_its_writers_together():
    model, batch = model_of(), batch_for([0])
    output, targets = model(batch), REPORTS[0, 1:9]
    places = torch.arange(8)
    flat = output.logits[0, places, targets].sum().exp()
    stop, chosen, said = (output.parts[name][0, :8].exp() for name in ("stop", "chosen", "said"))
    words = said[places, :, targets]  # (8, 2)
    total = 0.0
    for first, second in itertools.product((0, 1), repeat=2):
        one = stop[0, 0] * chosen[0, first] * words[:3, first].prod()
        two = stop[3, 0] * chosen[3, second] * words[3:7, second].prod()
        total += one * two * stop[7, 1]
    assert flat.item() == pytest.approx(total.item(), rel=1e-4)


@torch.no_grad()
def test_what_is_imitated_are_actions_and_the_words_of_their_writers():
    model = model_of()
    for number, words, ends in ((0, [0, 0, 0, 1, 1, 1, 1], True), (3, [0, 0, 0, 0], False)):
        losses, parts = losses_for(model, [number]), model(batch_for([number])).parts
        stop, chosen, said = (parts[name][0] for name in ("stop", "chosen", "said"))
        of_words = sum(said[t, m, REPORTS[number, t + 1]] for t, m in enumerate(words))
        begin = [t for t in range(len(words)) if REPORTS[number, t] in (BOS, STOP)]
        of_actions = sum(stop[t, 0] + chosen[t, words[t]] for t in begin)
        of_actions += stop[len(words), 1] if ends else 0.0  # a cut report does not end
        count = len(words) + ends
        assert close(losses["loss_words"], -of_words / count)
        assert close(losses["loss_actions"], -of_actions / count)
        assert close(losses["loss"], losses["loss_words"] + losses["loss_actions"])


@torch.no_grad()
def test_sentences_beyond_the_last_are_not_imitated():
    model, batch = model_of(), batch_for([2])
    cut = batch._replace(tokens=torch.cat([REPORTS[2:3, :7], torch.full((1, 3), PAD)], 1))
    for name in ("loss", "loss_words", "loss_actions"):
        losses = [model.losses(model(b), b, Alone())[name] for b in (batch, cut)]
        assert close(*losses), name


@torch.no_grad()
def test_writers_exchanged_together_with_the_labels_change_nothing():
    model, other = model_of(), model_of(1 - ABNORMAL)
    other.normal, other.abnormal = other.abnormal, other.normal
    for tensor in (other.act.weight, other.act.bias):
        tensor.copy_(tensor[[0, 2, 1]])
    numbers = [0, 1, 2, 3]
    mine, its = losses_for(model, numbers), losses_for(other, numbers)
    assert all(close(mine[name], its[name]) for name in mine)
    batch = batch_for(numbers)
    assert close(model(batch).logits, other(batch).logits)


def test_a_report_without_abnormal_sentences_teaches_the_abnormal_writer_nothing():
    for labels, writer in ((torch.zeros_like(ABNORMAL), 1), (torch.ones_like(ABNORMAL), 0)):
        model = model_of(labels)
        losses_for(model, [0, 1])["loss"].backward()
        assert all((p.grad == 0).all() for p in model.writers[writer].parameters())
        other = model.writers[1 - writer].named_parameters()
        assert all((p.grad != 0).any() for name, p in other if name != "attend.key.bias")


@torch.no_grad()
def test_what_was_learnt_of_sentences_is_not_read_when_generating():
    (images, projections), steps = tiny_images(2), []
    for model in (model_of(), model_of(1 - ABNORMAL)):
        state = model.start(images, projections, 1, model.prepare())
        steps.append(model.step(torch.full((2, 1), BOS), state))
        assert "tables.abnormal" not in model.state_dict()
    assert torch.equal(*steps)


@torch.no_grad()
def test_word_by_word_through_many_sentences_is_the_whole_report():
    model, (images, projections) = model_of(), tiny_images(3)
    tokens = torch.tensor(
        [
            [BOS, 4, STOP, STOP, 6, 7, STOP, 8, STOP, 9],
            [BOS, 5, 6, STOP, 7, STOP, 9, EOS, STOP, STOP],
            [BOS, STOP, STOP, 5, 6, 4, 8, STOP, 7, 4],  # two sentences without words
        ]
    )
    whole = model(batch_of(images, projections, tokens)).logits
    state = model.start(images, projections, 1, model.prepare())
    for place, word in enumerate(tokens.unbind(1)):
        logprobs = model.step(word.unsqueeze(1), state)[:, 0]
        assert close(logprobs, whole[:, place])
        assert close(logprobs.exp().sum(-1), torch.ones(3))
    assert logprobs[1, EOS] == 0  # four sentences: there are no more


# --- which sentences are abnormal ---


def learnt(texts: list[str], labels: str, most: int = 4):
    studies = SimpleNamespace(studies=[SimpleNamespace(text=text) for text in texts])
    words = Tokenizer.train(texts, 1)
    return learn(studies, None, words, {"cmas": {"max_sentences": most, "labels": labels}}), words


def test_a_sentence_is_normal_by_its_words_and_not_by_parts_of_them():
    texts = [
        "no effusion . left nodule . heart size is normal . . lungs are clear .",
        "abnormal heart .", "stable clearing", "noted scar . it is unclear",
    ]  # fmt: skip
    (kept, of_studies), words = learnt(texts, "words")
    assert of_studies["abnormal"].tolist() == [
        [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0],  # an empty one is not
    ]  # fmt: skip
    assert kept["marks"].tolist() == [words.bos_id, words.vocabulary["."], words.eos_id]


def test_the_demo_knows_which_of_its_sentences_tell_of_a_finding():
    rng = np.random.default_rng(0)
    reports = [clean_iu_xray(report_on(see(rng), rng)) for _ in range(50)]
    abnormal = learnt(reports, "exact", len(FINDINGS))[0].of_studies["abnormal"]
    for report, row in zip(reports, abnormal, strict=True):
        sentences = report.removesuffix(" .").split(" . ")
        assert row[: len(sentences)].tolist() == [bool(DEMO.read(text)) for text in sentences]
        assert not row[len(sentences) :].any()


def test_reports_without_sentences_and_exact_labels_of_real_ones_are_refused():
    with pytest.raises(UserError, match=r"plans sentences: choose another model.family"):
        learnt(["lungs are clear"], "words")
    with pytest.raises(UserError, match=r"cmas.labels: exact is for the demo"):
        settings_with({"model.family": "cmas", "data.name": "iu_xray", "cmas.labels": "exact"})
