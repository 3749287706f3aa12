"""HRGR-Agent: its templates come of training reports alone, and who writes a sentence."""

import math

import pytest
import torch
from model_parts import (
    BOS,
    EOS,
    PAD,
    STOP,
    VOCABULARY,
    close,
    losses_of,
    read,
    settings_with,
    tiny_images,
    tiny_model,
)

from rcan.data.batches import Batch
from rcan.data.knowledge.hrgr import group_of, learn, templates
from rcan.data.store import Split, Study
from rcan.errors import UserError
from rcan.text.tokenizer import Tokenizer

HRGR = {"model.family": "hrgr"}


def settle(model, *, template: int, stop: float = 0.0) -> None:
    """Every sentence is of source `template` alone; p_stop is `stop` before each."""
    with torch.no_grad():
        model.choose.weight.zero_()
        model.choose.bias.fill_(-200.0)
        model.choose.bias[template] = 200.0
        model.stop.weight.zero_()
        model.stop.bias.fill_(math.log(stop / (1 - stop)) if stop else -200.0)


def test_templates_are_wordings_that_enough_studies_have():
    reports = [
        "the lungs are clear . no effusion .",
        "lungs clear . lungs clear .",  # one study of its group
        "clear lungs . . no effusion",
        "lungs clear . effusion .",
    ]
    assert templates(reports, 2) == {
        frozenset({"lungs", "clear"}): "lungs clear",  # of four studies, in three wordings
        frozenset({"no", "effusion"}): "no effusion",
    }
    assert templates(reports, 5) == {}
    assert group_of(["there", "is", "an"]) == frozenset()


def test_what_is_learnt_is_of_the_training_studies_and_survives_without_templates():
    reports = ["lungs clear . heart normal .", "clear lungs . large heart ."]
    train = Split("train", [Study("", "train", "", text, ()) for text in reports], None)
    words = Tokenizer.train(reports, 1)
    asked = {"least_studies": 2, "max_sentences": 3}
    learnt = learn(train, None, words, {"hrgr": asked})
    assert [words.decode(row) for row in learnt.kept["templates"].tolist()] == ["clear lungs ."]
    assert learnt.of_studies["sources"].tolist() == [[1, 0, 0], [1, 0, 0]]
    none = learn(train, None, words, {"hrgr": asked | {"least_studies": 9}})
    assert none.kept["templates"].shape == (0, 1) and not none.of_studies["sources"].any()


@torch.no_grad()
def test_a_template_that_was_chosen_is_written_as_it_is():
    for choice in ("sum", "argmax"):
        model = tiny_model({**HRGR, "hrgr.choice": choice})
        for number, template in enumerate(model.tables["templates"].tolist(), 1):
            settle(model, template=number)
            written = [word for word in template if word != PAD]
            state = model.start(*tiny_images(1), 1, model.prepare())
            for word, following in zip([BOS, *written[:-1]], written, strict=True):
                p = model.step(torch.tensor([[word]]), state).exp()[0, 0]
                assert p[following] == pytest.approx(1) and p.sum() == pytest.approx(1)


@torch.no_grad()
def test_without_templates_it_is_the_generator_alone():
    model = tiny_model(HRGR)
    settle(model, template=0, stop=0.25)
    images, projections = tiny_images(1)
    tokens = torch.tensor([[BOS, 6, STOP, 9, EOS]])
    output = model(Batch(images, projections, tokens, PAD))
    begins = torch.tensor([True, False, True, False])
    expected = output.parts["said"] + torch.where(begins, math.log(0.75), 0.0).unsqueeze(-1)
    expected[..., EOS] = torch.where(begins, math.log(0.25), -math.inf)
    assert close(output.logits, expected)


@torch.no_grad()
def test_a_generator_and_a_template_share_a_sentence_by_what_each_would_have_said():
    # As two sources of tests/test_sentences.py: a template "a ." and p(a) = .2, p(. | a) = .5.
    model = tiny_model(HRGR)
    a, other = 5, 6
    model.tables.templates = torch.tensor([[a, STOP, PAD]])
    said = torch.full((1, 2, VOCABULARY), -1e9)
    said[0, 0, [a, other]] = torch.tensor([0.2, 0.8]).log()
    said[0, 1, [STOP, other]] = torch.tensor([0.5, 0.5]).log()
    place = torch.tensor([[[0], [1]]])
    half = torch.tensor([[[0.5, 0.5]]]).log()
    assert model.mixed(half, said[:, :1], place[:, :1]).exp()[0, 0, a] == pytest.approx(0.6)
    told = model.told_by(torch.tensor([[a]]), said[:, :1], place[:, :1])
    weights = (half + told).log_softmax(-1)
    assert close(weights.exp(), torch.tensor([[[1 / 6, 5 / 6]]]))
    p = model.mixed(weights, said[:, 1:], place[:, 1:]).exp()
    assert p[0, 0, STOP] == pytest.approx(11 / 12) and p.sum() == pytest.approx(1)


def test_losses_are_of_stops_choices_and_the_words_of_generated_sentences():
    model, (images, projections) = tiny_model(HRGR), tiny_images(1)
    settle(model, template=0, stop=0.25)
    torch.nn.init.zeros_(model.choose.bias)  # four sources alike
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    sources = torch.zeros_like(model.tables["sources"])
    sources[0] = torch.tensor([2, 0, 0])  # the second sentence is to be generated
    model.tables.sources = sources
    tokens = torch.tensor([[BOS, 7, 5, STOP, 9, STOP, EOS, PAD]])
    losses = losses_of(model, images, projections, tokens)
    stop, choice, words = (2 * math.log(4 / 3) + math.log(4), 2 * math.log(4), 2 * math.log(13))
    for name, value in (("stop", stop), ("choice", choice), ("words", words)):
        assert losses[f"loss_{name}"].item() == pytest.approx(value / 6), name
    assert losses["loss"].item() == pytest.approx((stop + choice + words) / 6)


def test_the_likelihood_of_any_report_has_a_gradient():
    model = tiny_model(HRGR)
    tokens = torch.tensor([[BOS, 5, 8, STOP, 9, 9, STOP, STOP, 7, EOS]])  # a template and others
    logprobs = read(model, *tiny_images(1), tokens[:, :-2])[0].log_softmax(-1)
    logprobs.gather(-1, tokens[:, 1:-1].unsqueeze(-1)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert model.choose.weight.grad.any()


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="argmax cannot be rewarded"):
        settings_with({**HRGR, "hrgr.choice": "argmax", "reward.share": 0.5})
    with pytest.raises(UserError, match="argmax gives most reports no likelihood"):
        settings_with({**HRGR, "hrgr.choice": "argmax", "curriculum.name": "cmcl"})
    with pytest.raises(UserError, match="must be at least 30 with patients"):
        settings_with({**HRGR, "data.name": "mimic_cxr"})
