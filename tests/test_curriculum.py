"""CMCL: how able a learner is, how difficult a study, and what is drawn of them."""

import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from model_parts import BOS, EOS, PAD, STOP, tiny_images, tiny_model
from tiny import PARAMS, TRANSFORMER, batches_of, prepare, tiny, train_tiny
from torch import nn
from torch.nn import functional as F

from rcan.code import closure, file_of
from rcan.config import from_dict
from rcan.data.batches import Batch, StudyBatches
from rcan.data.store import Study, open_split
from rcan.errors import UserError
from rcan.evaluation.labelers import DEMO, IU_XRAY
from rcan.model.build import build_model
from rcan.model.interface import Output
from rcan.text.tokenizer import Tokenizer
from rcan.training import curriculum
from rcan.training.curriculum import Told, abnormal_sentences, competence, entropies, unlikeness
from rcan.training.key import CURRICULUM, best_weights, forget_training, training_code

CMCL = TRANSFORMER | {"curriculum.name": "cmcl"}
NUM, SIZE = 40, 4


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (1.0, [0.01, 0.2575, 0.505, 1, 1]),
        (2.0, [0.01, 0.500075, 0.707142, 1, 1]),
        (3.0, [0.01, 0.629961, 0.793701, 1, 1]),
    ],
)
def test_competence_grows_to_all(power, expected):
    found = [competence(t, start=0.01, power=power) for t in (0, 0.25, 0.5, 1, 1.2)]
    assert found == pytest.approx(expected, abs=1e-6)


# --- how difficult a study is ---


def test_an_image_is_easy_that_is_like_the_normal_ones():
    images = np.array([[[2.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.0]], [[3.0, 4.0]]])
    found = unlikeness(images, np.array([True, False, True, False]))
    assert found == pytest.approx([-0.5, -0.7, -0.5, -0.7])  # to (.5, .5)
    assert found[1] == found[3]  # of the same images, to the bit


def test_a_sentence_is_normal_by_whole_words():
    text = "no effusion . a nodule . the heart is abnormal . stable scar . unclear shadow . ."
    assert abnormal_sentences(text) == 3


def test_a_studys_entropy_is_by_a_classifier_that_has_not_seen_its_label():
    rng = np.random.default_rng(0)
    there = rng.integers(0, 2, 200)
    x = np.stack([np.where(there, 3.0, -3.0), rng.normal(size=200)], 1)
    x[:20, 0] = 0  # could be either
    findings = np.stack([there, np.arange(200) < 3], 1).astype(float)  # the second is too rare
    findings[199] = np.nan
    fold = np.arange(200) % 5
    found = entropies(x, findings, fold=fold)
    assert found.min() >= 0 and found.max() <= np.log(2) + 1e-9
    assert found[:20].min() > 0.67 > found[20:].max()
    other = findings.copy()
    other[fold == 0, 0] = 1 - other[fold == 0, 0]
    assert np.array_equal(entropies(x, other, fold=fold)[fold == 0], found[fold == 0])
    assert not entropies(x, findings[:, 1:], fold=fold).any()


def study(number: int, text: str, labels: tuple[str, ...] | None) -> Study:
    return Study(f"s{number}", "train", text, text, (), labels)


def test_normal_studies_are_those_whose_labels_say_so():
    labels = [("normal",), ("cardiomegaly",), ("no indexing",), ("calcinosis",)]
    told = Told.of([study(i, "a mass .", of) for i, of in enumerate(labels)], IU_XRAY)
    assert told.burden.tolist() == [0, 1, np.inf, 1]  # a problem that no finding is made of, too
    assert told.is_normal().tolist() == [True, False, False, False]
    assert np.isnan(told.findings[2]).all() and told.findings[1].sum() == 1


def test_where_hardly_any_study_is_normal_those_of_fewest_findings_are():
    labels = [(), *[("nodule/right/small",)] * 9, *[("nodule/right/small", "device/x")] * 30]
    told = Told.of([study(i, "", of) for i, of in enumerate(labels)], DEMO)
    assert told.is_normal().sum() == 10


@pytest.mark.parametrize("labeler", [None, IU_XRAY])
def test_without_labels_reports_tell_what_is_normal(labeler):
    texts = ["heart is normal .", "a mass . no effusion .", "lungs are clear ."]
    told = Told.of([study(i, text, None) for i, text in enumerate(texts)], labeler)
    assert told.is_normal().tolist() == [True, False, True]
    assert told.findings.tolist() == [[0], [1], [0]]


def test_a_report_surprises_by_minus_the_log_of_its_probability(place, tmp_path):
    settings = tiny(CMCL)
    torch.manual_seed(0)
    model = build_model(settings, len(Tokenizer.load(place["tokenizer"]))).eval()
    batches = batches_of(place, tmp_path, settings, "train", model.visual)
    found = curriculum.surprise(model, batches)
    alone = batches.batch_of(np.array([5]), rng=None)
    with torch.no_grad():
        logprobs = model(alone).logits.log_softmax(-1)[0]
    words = alone.tokens[0, 1:]
    told = logprobs.gather(1, words[:, None]).sum()
    assert found[5] == pytest.approx(-float(told), rel=1e-5)


def test_what_a_model_of_sentences_cannot_say_does_not_surprise_it():
    """eos inside a sentence, of a report that was cut."""
    model, (images, projections) = tiny_model({"model.family": "coatt"}), tiny_images(2)
    tokens = torch.tensor([[BOS, 5, STOP, EOS, PAD], [BOS, 7, 5, 6, EOS]])
    batch = Batch(images, projections, tokens, PAD)
    found = curriculum.surprise(model, SimpleNamespace(in_order=lambda: [batch]))
    with torch.no_grad():
        told = model(batch).logits.gather(2, tokens[:, 1:, None])[..., 0]
    assert told[1, 3] == -np.inf
    assert found == pytest.approx((-told[:, :3].sum(1)).tolist(), rel=1e-5)
    assert curriculum.perplexity(model, batch) == pytest.approx(found.sum() / 6, rel=1e-5)


def test_the_features_of_an_image_are_the_means_of_a_grid_or_of_its_map(place, tmp_path):
    settings = tiny(CMCL)
    batches = batches_of(place, tmp_path, settings, "train", tiny_model().visual)
    split = open_split(place["processed"], "train")
    found = curriculum.pooled(batches)
    assert found.shape == (12, 2, 64)
    image = split.images[split.view_rows(2)[3, 1]].astype(float)
    assert found[3, 1].reshape(8, 8)[7, 2] == pytest.approx(image[28:32, 8:12].mean())
    maps = np.random.default_rng(0).normal(size=(3, 5, 4, 4)).astype(np.float16)
    batches.source, batches.rows = maps, np.array([[2, 0]])
    assert curriculum.pooled(batches)[0, 0] == pytest.approx(maps[2].astype(float).mean((1, 2)))


# --- what is drawn of them ---


class Asked(nn.Module):
    """Finds a batch the harder, the later its studies stand in the split."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.modes = []

    def forward(self, batch):
        self.modes.append((self.training, torch.is_grad_enabled()))
        words = F.one_hot(batch.tokens[:, 1:], 12)
        return Output(words * -batch.numbers.float().view(-1, 1, 1))

    def scored(self, batch):
        return batch.tokens[:, 1:] != batch.pad_id


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    reports = [[1, *rng.integers(3, 12, rng.integers(2, 9)).tolist(), 2] for _ in range(NUM)]
    rows = np.arange(NUM)[:, None]
    return StudyBatches(
        np.zeros((NUM, 4, 4), np.uint8), rows, np.zeros_like(rows), reports,
        window=None, batch_size=SIZE, pad_id=0,
    )  # fmt: skip


ORDERS = [np.roll(np.arange(NUM), shift) for shift in (0, 10, 20, 30)]


def settings_of(choose="hardest", **more):
    return tiny(CMCL | {"curriculum.choose": choose, "train.length_buckets": 2, **more})


@pytest.mark.parametrize("choose", ["hardest", "easiest", "cycle"])
def test_no_study_beyond_the_share_is_drawn_and_the_model_chooses(choose, batches):
    model = Asked().train()
    settings = settings_of(choose)
    drawn = curriculum.chosen_batches(model, batches, ORDERS, 3, 0.0, 0.01, settings)
    chosen = []
    for step, batch in enumerate(drawn):
        c = competence(step * 0.01, start=0.01, power=2)
        share = max(SIZE, int(np.ceil(c * NUM)))
        within = [set(batch.numbers.tolist()) <= set(order[:share].tolist()) for order in ORDERS]
        assert any(within) and len(set(batch.numbers.tolist())) == SIZE
        assert model.training
        chosen.append(within.index(True) if sum(within) == 1 else None)
    assert step + 1 == batches.num_batches
    asked = {"cycle": 0}.get(choose, 4)
    assert model.modes == [(False, False)] * asked * batches.num_batches
    # The four shares, which begin at 0, 30, 20 and 10, have nothing in common at first.
    assert chosen[:3] == {"hardest": [1] * 3, "easiest": [0] * 3, "cycle": [0, 1, 2]}[choose]


def test_what_is_drawn_follows_from_seed_epoch_step_and_weights(batches):
    def numbers(epoch=3, **more):
        found = curriculum.chosen_batches(
            Asked(), batches, ORDERS, epoch, 0.5, 0.05, settings_of(**more)
        )
        return [batch.numbers.tolist() for batch in found]

    assert numbers() == numbers() != numbers(epoch=4)
    assert numbers() != numbers(**{"train.seed": 2})


@pytest.mark.parametrize("length_buckets", [1, 8])
def test_each_study_of_the_share_is_as_likely_as_any_other(length_buckets, batches):
    counts = np.zeros(NUM)
    for number in range(1500):
        batch = curriculum._drawn(batches, np.arange(10), [0, number], length_buckets)
        counts[batch.numbers] += 1
    assert counts[10:].sum() == 0
    assert counts[:10] == pytest.approx(600, rel=0.15)  # 4 of 10 each time


def test_once_all_may_be_drawn_an_epoch_is_a_pass_over_all(place, tmp_path):
    """Of 5 epochs one is of rewards; T is half of the other four."""
    train_tiny(place, tmp_path / "base", TRANSFORMER)
    settings = tiny(CMCL | {"train.epochs": 5, "reward.share": 0.2})
    words = Tokenizer.load(place["tokenizer"])
    model = build_model(settings, len(words))
    batches = batches_of(place, tmp_path, settings, "train", model.visual)
    of_epoch = curriculum.lessons(
        settings, open_split(place["processed"], "train"), batches, words,
        base=tmp_path / "base" / "run" / "best.safetensors",
        fabric=Fabric(accelerator="cpu", devices=1),
    )  # fmt: skip
    offered = [of_epoch(model, epoch) is not None for epoch in range(1, 6)]
    assert offered == [True, True, False, False, False]
    assert len(list(of_epoch(model, 1))) == batches.num_batches


# --- how it joins training ---


def test_a_curriculum_is_none_of_other_trainings():
    assert tiny().used()["curriculum"] == {"name": "none"}
    assert tiny(CMCL).base().used() == tiny(TRANSFORMER).used()
    assert tiny(CMCL).used()["curriculum"].keys() == PARAMS["curriculum"].keys()
    assert "cmcl choose=hardest" in tiny(CMCL).name
    assert file_of(CURRICULUM) not in closure([file_of("rcan.training.train")])
    assert training_code("rcan") != training_code("rcan", "cmcl")
    kept = tiny().of_the_model()
    del kept["curriculum"]
    assert from_dict(kept).curriculum == tiny().curriculum


@pytest.mark.parametrize("devices", [2, "auto"])
def test_several_processes_are_refused_in_one_line(devices):
    with pytest.raises(UserError, match=r"is for one process: set train\.devices to 1$"):
        tiny(CMCL | {"train.devices": devices})


def test_without_its_base_it_says_what_trains_it(place, tmp_path, monkeypatch):
    from rcan.training.train import train

    with pytest.raises(UserError, match=r"needs the same training without one.*`dvc repro`"):
        train(tiny(CMCL), **place, out=None, root=tmp_path, log_to=lambda key: print)


def test_the_base_is_found_as_state_and_as_run(place, tmp_path):
    inputs = (tiny(CMCL).base(), place["processed"], place["tokenizer"])
    find = partial(best_weights, *inputs, root=tmp_path, runs=[tmp_path / "run"])
    assert find() is None
    train_tiny(place, tmp_path, TRANSFORMER)
    state = find()
    assert state.is_relative_to(tmp_path / ".rcan" / "checkpoints")
    forget_training(tmp_path, state.parent.name)
    assert find() == tmp_path / "run" / "best.safetensors"
    shutil.rmtree(tmp_path / "run")
    assert find() is None
