"""Clinical-BERT: one stream, in which images see no words, and the four tasks before it writes."""

import pytest
import torch
from model_parts import (
    EOS,
    NUM_LEARNT,
    PAD,
    REPORTS,
    VOCABULARY,
    close,
    knowledge_of,
    read,
    settings_with,
    tiny_images,
    tiny_model,
    tiny_reports,
)

from rcan.data.batches import Batch
from rcan.model.families.clinicalbert.stream import causal_mask, padding_mask
from rcan.model.families.clinicalbert.tasks import Matching, hide, matching_losses, sparsemax
from rcan.model.interface import Alone
from rcan.model.layers.topic_loss import mean_of, topic_loss
from rcan.text.tokenizer import Tokenizer

CHANGES = {"model.family": "clinicalbert"}
UNTRAINED = {**CHANGES, "clinicalbert.pretrain_share": 0.0}


def pretrained_batch(width: int | None = None) -> Batch:
    tokens = tiny_reports([5, 2, 6, 3], width=width)
    return Batch(*tiny_images(4), tokens, PAD, torch.tensor([0, 2, 4, 5]))


# --- what is learnt of the training studies ---


def test_label_words_are_those_of_the_vocabulary_that_training_labels_name():
    kept, of_studies = knowledge_of(settings_with(CHANGES))
    ids = Tokenizer.train([*REPORTS] * 2, 1).vocabulary
    named = {"effusion", "large", "heart", "nodule"}  # opacity is uncertain, other words unknown
    wanted = {word: 2 if word in named else int(index > 3) for word, index in ids.items()}
    assert kept["kinds"].tolist() == [*wanted.values()]
    of_labels = [[], [], ["effusion"], ["effusion", "large", "heart"], ["nodule"], []] * 2
    for row, words in zip(of_studies["mesh"].tolist(), of_labels, strict=True):
        assert sorted(row) == sorted([ids[word] for word in words] + [0] * (3 - len(words)))
    assert of_studies["topics"].shape == (NUM_LEARNT, 20)
    shares = [kept["shares"][place].item() for place in (0, 1, 4)]  # of five with labels
    assert shares == pytest.approx([1 / 5, 1 / 5, 2 / 5])
    assert knowledge_of(settings_with(UNTRAINED)) == ({}, {})


@torch.no_grad()
def test_it_writes_without_pretraining_and_its_parts():
    model, (images, projections) = tiny_model(UNTRAINED), tiny_images(2)
    assert model.pretraining is None
    logits, _ = read(model, images, projections, tiny_reports([3, 5]))
    assert logits.shape == (2, 7, VOCABULARY)


# --- one stream ---


@torch.no_grad()
def test_an_image_is_seen_alike_with_words_and_without():
    model, (images, projections) = tiny_model(CHANGES), tiny_images(2)
    shown = model.shown(images, projections)
    states, seen = model.decoder.see(shown)
    words = model.embed(tiny_reports([4, 4]))
    x, P, T = torch.cat([shown, words], 1), shown.shape[1], words.shape[1]
    mask = torch.full((P + T, P + T), float("-inf")).triu(1)
    mask[:P, :P] = 0
    for layer in model.decoder.layers:  # all at once, under one mask
        x, _ = layer.read(x, mask=mask)
    x = model.decoder.norm(x)
    assert close(x[:, :P], states)
    assert close(x[:, P:], model.decoder(words, seen, causal_mask(T, P, x.device)))


def test_masks_by_hand():
    no = float("-inf")
    mask = causal_mask(3, 2, torch.device("cpu"))
    assert mask[0, 0].tolist() == [[0, 0, 0, no, no], [0, 0, 0, 0, no], [0, 0, 0, 0, 0]]
    is_word = torch.tensor([[True, True], [True, False]])
    assert padding_mask(is_word, 1).flatten(1).tolist() == [[0, 0, 0], [0, 0, no]]


# --- four tasks ---


def test_only_words_are_hidden_and_label_words_at_their_own_rate():
    torch.manual_seed(0)
    kinds = torch.tensor([0, 0, 0, 0, 1, 2, 1])
    tokens = torch.tensor([1, 4, 5, 6, 2, 0]).repeat(4000, 1)
    hidden = hide(tokens, kinds, 0.0, 0.5)
    assert hidden.chosen.any(0).tolist() == [False, False, True, False, False, False]
    assert hidden.chosen[:, 2].float().mean().item() == pytest.approx(0.5, abs=0.03)
    hidden = hide(tokens, kinds, 0.25, 1.0)
    rates = hidden.chosen.float().mean(0).tolist()
    assert rates == pytest.approx([0, 0.25, 1, 0.25, 0, 0], abs=0.03)
    assert hidden.masked[:, 2].float().mean().item() == pytest.approx(0.8, abs=0.03)
    changed = hidden.tokens != tokens
    assert changed[:, 2].float().mean().item() == pytest.approx(0.1 * 2 / 3, abs=0.02)
    assert not (changed & (hidden.masked | ~hidden.chosen)).any()
    assert (kinds[hidden.tokens[changed]] > 0).all()


def test_sparsemax_by_hand():
    z = torch.tensor([[1.0, 0.5, -1.0], [3.0, 0.0, 0.0], [0.2, 0.2, 0.2], [0.0, -1e4, 0.4]])
    wanted = [[0.75, 0.25, 0], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.3, 0, 0.7]]
    assert close(sparsemax(z), torch.tensor(wanted))
    z = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sparsemax, z)


@torch.no_grad()
def test_words_must_fit_their_own_image_by_a_margin():
    matching = Matching(2)
    for layer in (matching.word, matching.patch):
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
    words = torch.tensor([[[4.0, 0.0]], [[0.0, 4.0]], [[0.0, 4.0]]])
    patches = torch.tensor([[[4.0, 0.0], [0.0, 4.0]], [[3.0, 4.0], [-4.0, -4.0]], [[0.0, 1.0]] * 2])
    own = matching(words, torch.ones(3, 1).bool(), patches)
    assert close(own, torch.tensor([1.0, 0.8, 1.0]))  # the sparse weights take the best patch
    mesh = torch.tensor([[1], [2], [2]])
    # The first against the third's image: cosine 0; the second against the first's: 1; the third
    # has the words of the second, so it counts for nothing.
    misfits, counted = matching_losses(matching, words, mesh, patches, margin=0.5)
    assert counted.tolist() == [True, True, False]
    assert misfits[:2].tolist() == pytest.approx([0, 0.5 - 0.8 + 1])
    assert not matching_losses(matching, words, mesh * 0, patches, margin=0.5)[1].any()


def test_unknown_topics_count_for_nothing():
    logits = torch.tensor([[0.0, 1.0, -1.0], [5.0, 5.0, 5.0]])
    true = torch.tensor([[1, 1, -1], [-1, -1, -1]], dtype=torch.int8)
    loss = topic_loss(logits, true, Alone()).item()
    assert loss == pytest.approx((0.693147 + 0.313262) / 2, abs=1e-6)
    assert topic_loss(logits, true * 0 - 1, Alone()) == 0


def test_a_mean_over_processes_is_the_mean_of_all_that_counts():
    class Two(Alone):
        """Two processes, of which this one has as many as are counted and the other three."""

        def share_of_tokens(self, targets, pad_id):
            own = (targets != pad_id).sum()
            return 2 * own / (own + 3)

    losses, counted = torch.tensor([1.0, 5.0, 8.0]), torch.tensor([True, False, True])
    assert mean_of(losses, counted, Alone()) == 4.5
    # The mean over processes, half of this, is (1 + 8) / 5.
    assert mean_of(losses, counted, Two()).item() == pytest.approx(2 * 9 / 5)
    assert mean_of(losses, counted & False, Two()) == 0


def test_the_losses_of_the_tasks_add_up():
    model, batch = tiny_model(CHANGES), pretrained_batch()
    model.phase = "pretrain"
    torch.manual_seed(0)
    losses = model.losses(model(batch), batch, Alone())
    tasks = {f"loss_{task}" for task in ("cd", "mmm", "mlm", "imm")}
    assert losses.keys() == {"loss", *tasks}
    assert losses["loss"].item() == pytest.approx(sum(losses[task].item() for task in tasks))
    assert all(losses[task] > 0 for task in tasks)


@torch.no_grad()
def test_topics_and_matching_are_told_of_images_alone():
    model, batch = tiny_model(CHANGES), pretrained_batch()
    model.phase = "pretrain"
    others = batch._replace(tokens=tiny_reports([4, 4, 1, 5], seed=1))
    one, other = (model(seen).parts for seen in (batch, others))
    assert all(torch.equal(one[name], other[name]) for name in ("topics", "misfits", "matched"))
    swapped = batch._replace(images=batch.images.flip(0))
    assert not close(model(swapped).parts["topics"], one["topics"])


@torch.no_grad()
def test_a_report_without_hidden_words_costs_nothing():
    model, batch = tiny_model(CHANGES), pretrained_batch()
    model.phase = "pretrain"
    empty = batch._replace(tokens=torch.tensor([[1, EOS, PAD]]).repeat(4, 1))
    losses = model.losses(model(empty), empty, Alone())
    assert losses["loss_mmm"] == losses["loss_mlm"] == 0 and losses["loss"].isfinite()
