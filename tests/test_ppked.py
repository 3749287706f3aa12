"""PPKED: what it keeps of the training studies, whom it finds alike, and gates that stay cached."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from handed_on import make_project
from model_parts import (
    NUM_LEARNT,
    PAD,
    REPORTS,
    batch_of,
    close,
    knowledge_of,
    settings_with,
    tiny_images,
    tiny_model,
    tiny_reports,
)
from tiny import tiny

from rcan.data.batches import Batch
from rcan.data.knowledge import ppked as learning
from rcan.data.knowledge.topics import TOPICS, graph, topics_of, topics_of_all
from rcan.data.labels import named
from rcan.data.store import Study
from rcan.errors import UserError
from rcan.model.build import build_model
from rcan.model.families.ppked.decoder import GatedAttention
from rcan.model.families.ppked.explorers import nearest, pooled
from rcan.model.interface import Alone, Knowledge
from rcan.model.layers.transformer import Attention
from rcan.reading import read_json
from rcan.sharing.export import export
from rcan.sharing.loading import load_model
from rcan.text.tokenizer import Tokenizer
from rcan.training.checkpoint import write_tensors
from rcan.training.key import Progress
from rcan.training.run_folder import write_run

CHANGES = {"model.family": "ppked"}
FACTS = ("key", "data_digest", "tokenizer_digest")
NAMES = [topic.name for topic in TOPICS]


def topics(*labels: str) -> set[str]:
    return {NAMES[place] for place in np.flatnonzero(topics_of(named(labels)))}


# --- what is learnt of the training studies ---


def test_labels_of_every_data_set_name_the_same_topics():
    assert len(set(NAMES)) == 20
    assert topics() == topics("normal") == topics("no finding") == {"normal"}
    assert topics("cardiomegaly/mild", "lung_volume/low") == {"cardiomegaly", "hypoinflation"}
    assert topics("lung", "fractures, bone") == {"hypoinflation", "fractures"}
    assert topics("lung opacity", "edema/uncertain", "support devices") == {
        "opacity", "medical device",
    }  # fmt: skip
    assert topics("calcified granuloma", "pulmonary atelectasis") == {
        "calcinosis", "lesion", "atelectasis",
    }  # fmt: skip
    assert topics("spondylosis", "hernia, hiatal") == {"other", "hernia"}
    assert topics("edema/uncertain") == set()  # unlike a study without labels it may be ill
    assert topics("chest tubes", "central_line") == topics("lines") == {"medical device"}
    assert topics("tuberculosis", "linear scar") == {"other"}
    assert all((topics_of(named(labels)) == -1).all() for labels in (None, ["no indexing"]))


def test_the_graph_joins_topics_of_one_organ():
    joined = graph()
    two, three = NAMES.index("scoliosis"), NAMES.index("effusion")  # of bone and of pleura
    assert joined[two, NAMES.index("fractures")] == joined[two, two] == 0.5
    assert joined[three, NAMES.index("pneumothorax")] == pytest.approx(1 / 3)
    assert joined[two, three] == 0 and joined[0].sum() == 1  # normal is of no organ
    assert np.allclose(joined.sum(1), 1)


def test_what_is_kept_are_the_reports_and_how_images_look():
    kept, of_studies = knowledge_of(settings_with(CHANGES))
    assert kept["features"].shape == (NUM_LEARNT, 2 * 64)
    assert torch.allclose(kept["features"].norm(dim=1), torch.ones(NUM_LEARNT))
    lengths = [len(text.split()) for text in REPORTS]
    assert (kept["reports"] > 0).sum(1).tolist() == lengths * 2  # without begin and end
    images, _ = tiny_images(NUM_LEARNT, seed=7)
    assert close(F.normalize(pooled(images), dim=1), kept["features"])
    assert (of_studies["topics"][[5, 11]] == -1).all()  # these have no labels
    small = {**CHANGES, "visual.frozen": True}
    assert knowledge_of(settings_with(small)).kept["features"].shape == (NUM_LEARNT, 6)
    assert not knowledge_of(settings_with({**CHANGES, "ppked.topic_share": 0.0})).of_studies


@pytest.mark.parametrize("side", [16, 27, 5])
def test_images_are_averaged_alike_before_training_and_in_it(side):
    images = torch.randint(0, 256, (3, 2, side, side), dtype=torch.uint8)
    assert close(torch.from_numpy(learning.pooled(images.numpy())), pooled(images))
    features = torch.randn(3, 2, 4, side, side)
    assert close(torch.from_numpy(learning.pooled(features.numpy())), pooled(features))


def test_without_any_labels_it_is_told_where_they_come_from():
    study = Study("one", "train", "a", "a", ())
    assert topics_of_all([study, replace(study, labels=("edema",))], "x")[1, 11] == 1
    with pytest.raises(UserError, match=r"Kaggle's .*chexpert\.csv.*, or set ppked"):
        topics_of_all([study], "set ppked.topic_share to 0")


# --- whose reports are read ---


def test_no_study_is_its_own_neighbour_even_beside_its_twin():
    table = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=1)
    found = nearest(table * 3, table, 2, own=torch.arange(4))
    assert found.tolist() == [[1, 2], [0, 2], found[2].tolist(), [2, found[3, 1]]]
    everyone = nearest(table, table, 99, own=torch.arange(4))
    assert [sorted(row) for row in everyone.tolist()] == [
        [1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2],
    ]  # fmt: skip
    assert nearest(table[:1], table, 2, own=None).sort().values.tolist() == [[0, 1]]


def test_a_training_study_is_masked_in_training_alone():
    model = tiny_model({**CHANGES, "ppked.num_reports": 3})
    images, projections = tiny_images(NUM_LEARNT, seed=7)
    batch = Batch(images, projections, tiny_reports([3] * NUM_LEARNT), PAD, torch.arange(12))
    asked = []
    model.neighbours = lambda images, own: (asked.append(own), torch.zeros(12, 3).long())[1]
    model(batch)  # numbers may be of another split
    model.train()(batch)
    assert asked[0] is None and torch.equal(asked[1], batch.numbers)


@pytest.mark.parametrize("key", ["reward.share", "curriculum.name"])
def test_nothing_scores_a_training_study_by_its_own_report(key):
    changes = {"reward.share": 0.5} if key == "reward.share" else {"curriculum.name": "cmcl"}
    with pytest.raises(UserError, match=rf"{key}.* must be .* retrieve"):
        settings_with(CHANGES | changes)


@torch.no_grad()
def test_the_order_of_neighbours_is_without_effect():
    model, (images, projections) = tiny_model(CHANGES), tiny_images(2)
    batch = batch_of(images, projections, tiny_reports([4, 6]))
    found = model.neighbours(images, None)
    assert found.shape == (2, NUM_LEARNT - 1)
    logits = model(batch).logits
    model.neighbours = lambda images, own: found.flip(1)
    assert close(model(batch).logits, logits)
    model.neighbours = lambda images, own: found[:, :2]
    assert not close(model(batch).logits, logits)


# --- one cross-attention over three sources ---


def gated() -> tuple[GatedAttention, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return GatedAttention(12, 2, 0.0).eval(), torch.randn(2, 3, 12), torch.randn(2, 3 * 5, 12)


@torch.no_grad()
def test_closed_gates_leave_plain_attention_to_what_is_seen():
    layer, x, sources = gated()
    layer.gate_word.bias.fill_(-1e4)
    plain = Attention(12, 2, 0.0).eval()
    plain.load_state_dict(layer.state_dict(), strict=False)
    keys, values = layer.keys_values(sources)
    assert close(layer(x, keys, values), plain(x, *plain.keys_values(sources[:, :5])))
    assert close(layer.look(x, keys, values)[0].sum(3), torch.ones(2, 2, 3))


@torch.no_grad()
def test_mixing_scores_is_attending_to_the_projection_of_the_mix():
    layer, x, sources = gated()
    keys, values = layer.keys_values(sources)
    gates = layer.gates(x, values)  # (B, T, 2, S)
    seen, graph_, reports = sources.chunk(3, 1)
    told = torch.cat([seen, graph_, reports], 2)[1, 4] @ layer.gate_sources.weight.T
    told = (layer.gate_word(x)[1, 2] + told).sigmoid()
    assert torch.allclose(gates[1, 2, :, 4], told, atol=1e-6)
    answers, plain = layer(x, keys, values), Attention(12, 2, 0.0).eval()
    plain.load_state_dict(layer.state_dict(), strict=False)
    for word in range(3):
        of_graph, of_reports = gates[:, word].unsqueeze(3).unbind(1)
        mixed = seen + of_graph * graph_ + of_reports * reports
        wanted = plain(x[:, word : word + 1], *plain.keys_values(mixed))
        assert torch.allclose(answers[:, word : word + 1], wanted, atol=1e-6)


def test_the_gates_of_a_word_by_hand():
    """q·k = 2 and 0 of the posterior at two patches; the graph adds σ(0) · 2 to the second."""
    layer = GatedAttention(1, 1, 0.0).eval()
    with torch.no_grad():
        for part in (layer.query, layer.output):
            part.weight.fill_(1.0)
            part.bias.zero_()
        layer.gate_word.weight.zero_()
        layer.gate_word.bias.zero_()
        keys = torch.tensor([2.0, 0.0, 0.0, 2.0, 0.0, 0.0]).view(1, 1, 6, 1)
        values = torch.tensor([1.0, 0.0, 0.0, 4.0, 0.0, 0.0]).view(1, 1, 6, 1)
        values = F.pad(values, (0, 1))  # the patches add nothing to the gates
        shares, _ = layer.look(torch.ones(1, 1, 1), keys, values)
        answers = layer(torch.ones(1, 1, 1), keys, values)
    assert torch.allclose(shares.flatten(), torch.tensor([0.731059, 0.268941]), atol=1e-6)
    assert answers.item() == pytest.approx(0.731059 * 1 + 0.268941 * 0.5 * 4, abs=1e-6)


@torch.no_grad()
def test_reports_that_are_read_are_those_found():
    """Kept ones are projected once; in training those alone that a batch's studies read."""
    model, (images, projections) = tiny_model(CHANGES), tiny_images(2)
    patches = model.visual(images, projections).patches
    found, reports = torch.tensor([[3, 1], [0, 3]]), model.tables["reports"]
    everything = model.explore(patches, found, model.prior(reports))
    read = torch.tensor([3, 1, 0])
    some = model.explore(patches, torch.tensor([[0, 1], [2, 0]]), model.prior(reports[read]))
    assert close(everything, some)
    others = model.explore(patches, found.flip(0), model.prior(reports))
    seen, graph_, of_reports = (everything - others).abs().amax((2,)).chunk(3, 1)
    assert not seen.any() and not graph_.any() and of_reports.all()


# --- what holds reports is not handed on ---


def test_weights_that_hold_restricted_reports_are_not_handed_on(tmp_path):
    make_project(tmp_path)
    settings = tiny(CHANGES | {"ppked.num_reports": 2})
    words = len(Tokenizer.load(tmp_path / "data" / "tokenizer.json"))
    reports = torch.tensor([[4, 5], [6, 0], [7, 8]], dtype=torch.int32)
    kept = {"features": torch.eye(3, 128), "reports": reports, "graph": torch.eye(20)}
    model = build_model(settings, words, Knowledge(kept))
    run, best = tmp_path / "runs" / "ppked", tmp_path / "best.safetensors"
    write_tensors(best, model.state_dict())
    facts = {
        name: read_json(tmp_path / "runs/main/best.json", dict, "", "")[name] for name in FACTS
    }
    row = {"epoch": 1, "length_penalty": 0.5, "val_BLEU-4": 0.1}
    progress = Progress(1, [row], row)
    write_run(run, best=best, model=model, progress=progress, settings=settings, facts=facts)
    exported = export(tmp_path, "ppked", tmp_path / "open")
    assert any("hold the training reports" in line for line in exported.remarks)
    assert torch.equal(load_model(exported.folder).model.tables["reports"], reports)
    text = (tmp_path / "params.yaml").read_text()
    text = re.sub(r"(privacy:\n  restricted:[^\n]*\n    demo: )false", r"\1true", text)
    (tmp_path / "params.yaml").write_text(text)
    for may_share in (False, True):
        with pytest.raises(UserError, match=r"hold the training reports .* demo is restricted"):
            export(tmp_path, "ppked", tmp_path / "closed", may_share=may_share)
    assert not (tmp_path / "closed").exists()


# --- topics first ---


def test_topics_are_told_first_of_the_studies_that_have_labels():
    model, (images, projections) = tiny_model(CHANGES), tiny_images(2)
    model.phase = "pretrain"
    batch = Batch(images, projections, tiny_reports([3, 3]), PAD, torch.tensor([1, 5]))
    with torch.no_grad():
        model.tell_topics.weight.zero_()
        model.tell_topics.bias.fill_(1.0)
    losses = model.losses(model(batch), batch, Alone())
    wanted = (0.313262 + 19 * 1.313262) / 20  # one topic is there: -log σ(1); 19 are not
    assert losses["loss"].item() == pytest.approx(wanted, abs=1e-5)
    assert losses.keys() == {"loss", "loss_topics"}
    other = batch._replace(numbers=torch.tensor([5, 5]))
    assert model.losses(model(other), other, Alone())["loss"].item() == 0
