"""A damaged training state or run folder, or another model's: the very weights, or one line."""

import copy
import json
import os
import pickle
import struct
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from cases import GARBAGE, INSTEAD, Code, attempt, damaged, edited, put, remove, seeded
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny import tiny

from rcan.model.build import build_model
from rcan.training.checkpoint import Progress, TrainingState, read_tensors, write_tensors
from rcan.training.optimization import build_optimizer
from rcan.training.run_folder import load_run, write_run

KIND = "checkpoints"
WORDS = 20
ROWS = [
    {"epoch": epoch, "loss": 1 / epoch, "lr": 0.1, "length_penalty": 0.0, "val_BLEU-4": 0.1}
    for epoch in (1, 2, 3)
]
FACTS = {"key": "a" * 32, "data_digest": "b" * 32, "tokenizer_digest": "c" * 64}


def trained(changes=None, words=WORDS):
    """A model and its optimiser after one step on random images."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    settings = tiny({"model.use_wcl": False} | (changes or {}))
    model = build_model(settings, words)
    optimizer = build_optimizer(model, settings.train)
    images = torch.randint(0, 256, (2, 2, 28, 28), dtype=torch.uint8)
    logits, _ = model(images, torch.ones(2, 2, dtype=torch.long), torch.randint(4, words, (2, 5)))
    logits.square().mean().backward()
    optimizer.step()
    return settings, model, optimizer


class Kept:
    """One training's state and run folder, and what they must give back."""

    def __init__(self, folder: Path) -> None:
        settings, self.model, self.optimizer = trained()
        self.state = TrainingState(folder / "state")
        self.run = folder / "run"
        self.progress = Progress(3, ROWS, ROWS[1])
        self.state.save(self.model, self.optimizer, self.progress, is_best=True)
        write_run(
            self.run, best=self.state.best, model=self.model, progress=self.progress,
            settings=settings, facts=FACTS,
        )  # fmt: skip
        self.weights = copy.deepcopy(self.model.state_dict())
        self.moments = copy.deepcopy(self.optimizer.state_dict()["state"])
        self.files = {
            path: path.read_bytes() for path in (*(folder / "state").iterdir(), *self.run.iterdir())
        }

    def restore(self) -> None:
        for path, content in self.files.items():
            remove(path)
            path.write_bytes(content)

    def load_state(self, *names: str, told: dict | None = None) -> bool:
        """Whether the state was gone on with; then it is the one that was kept, to the last bit."""
        found = attempt(lambda: self.state.load(self.model, self.optimizer), *names)
        if found is None:
            return False
        if told:
            assert asdict(found).items() <= told.items()
            assert len({frozenset(row) for row in found.history}) == 1  # as a table needs them
        else:
            assert found == self.progress
        self.check(self.model)
        loaded = self.optimizer.state_dict()["state"]
        assert loaded.keys() == self.moments.keys()
        for index, moments in self.moments.items():
            assert loaded[index].keys() == moments.keys()
            assert all(torch.equal(loaded[index][name], value) for name, value in moments.items())
        return True

    def load_run(self, *names: str) -> bool:
        """Whether the run was read; then its weights are those, its settings those of the file."""
        found = attempt(lambda: load_run(self.run, WORDS), str(self.run), *names)
        if found is None:
            return False
        model, settings, best = found
        self.check(model)
        written = json.loads((self.run / "config.json").read_bytes())
        written["data"]["root"] = None  # a place on a machine, as that of the weights
        written["visual"]["weights"] = Path(written["visual"]["weights"]).name
        assert settings.of_the_model() == written
        assert best == json.loads((self.run / "best.json").read_bytes())
        assert type(best["epoch"]) is int and isinstance(best["length_penalty"], int | float)
        return True

    def check(self, model) -> None:
        assert all(torch.equal(self.weights[n], value) for n, value in model.state_dict().items())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def kept(made, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # these files need not outlast a power cut
    made.restore()
    yield made
    made.restore()


@pytest.mark.parametrize("name", ["last", "best"])
def test_damaged_bytes_of_a_state(name, kept, amount, figure):
    counted = Counter()
    path = getattr(kept.state, name)
    size = struct.unpack("<Q", kept.files[path][:8])[0]

    @seeded(amount(8, 400))
    @given(damaged(kept.files[path]) | damaged(kept.files[path][: size + 8]))
    def of_bytes(content):
        path.write_bytes(content + kept.files[path][len(content) :])  # of its length, or longer
        counted[kept.load_state(str(path))] += 1

    of_bytes()
    assert counted[False]
    figure("bad input", KIND, counted.total())


def test_edited_progress(kept, amount, figure):
    counted = Counter()
    tensors, facts = read_tensors(kept.state.last)

    @seeded(amount(40, 400))
    @given(edited(facts))
    def of_values(value):
        try:
            write_tensors(kept.state.last, tensors, value)
        except (UnicodeEncodeError, AttributeError):  # no file could hold it
            return
        told = value.get("progress") if isinstance(value, dict) else None
        counted[kept.load_state(str(kept.state.last), told=told)] += 1

    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


def test_edited_tensors(kept, amount, figure):
    counted = Counter()
    tensors, facts = read_tensors(kept.state.last)
    names = sorted(tensors)
    changes = {
        "drop": lambda t: None, "wider": lambda t: torch.stack([t, t]),
        "none": lambda t: torch.zeros(0), "flat": lambda t: t.reshape(-1)[:1],
        "double": lambda t: t.double(), "half": lambda t: t.half(), "whole": lambda t: t.long(),
        "one": lambda t: torch.zeros(2, 2, 2, 2, 2),
    }  # fmt: skip
    extras = ["", "model.x", "optimizer.999.step", "optimizer.x", "optimizer.0.y.z", "x"]

    @seeded(amount(10, 300))
    @given(
        st.sampled_from(names), st.sampled_from(sorted(changes)), st.sampled_from(extras),
    )  # fmt: skip
    def of_tensors(name, change, extra):
        new = changes[change](tensors[name])
        found = {**tensors, name: new} if new is not None else {**tensors}
        if new is None:
            del found[name]
        if extra:
            found[extra] = torch.ones(2)
        write_tensors(kept.state.last, found, facts)
        counted[kept.load_state(str(kept.state.last))] += 1

    of_tensors()
    assert counted[False]
    figure("bad input", KIND, counted.total())


OTHERS = {
    "another size": {"model.d_ff": 8}, "another depth": {"model.num_decoder_layers": 2},
    "another module": {"model.use_cgm": False}, "another CNN": {"visual.channels": [4, 4]},
    "one loss more": {"model.use_wcl": True}, "another optimiser": {"train.amsgrad": True},
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_the_state_or_weights_of_another_model(other, kept, tmp_path, figure):
    _, model, optimizer = trained(OTHERS[other])
    state = TrainingState(tmp_path)
    state.save(model, optimizer, kept.progress, is_best=True)
    kept.state.last.write_bytes(state.last.read_bytes())
    assert not kept.load_state(str(kept.state.last))
    if other != "another optimiser":
        kept.restore()
        kept.state.best.write_bytes(state.best.read_bytes())
        assert not kept.load_state(str(kept.state.best))
        (kept.run / "best.safetensors").write_bytes(state.best.read_bytes())
        assert not kept.load_run("best.safetensors")
    figure("bad input", KIND, 3)


def test_the_weights_of_another_vocabulary(kept, figure):
    for words in (WORDS - 1, WORDS + 1, 4, 100_000):
        assert attempt(lambda words=words: load_run(kept.run, words), str(kept.run)) is None
    _, model, _ = trained(words=WORDS + 1)
    write_tensors(kept.run / "best.safetensors", model.state_dict())
    assert not kept.load_run("best.safetensors")
    figure("bad input", KIND, 5)


def strange(folder: Path) -> list[bytes]:
    """Files of tensors that are none, hold code, or promise more than they have."""
    tensor = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    headers = [
        {}, {"a": tensor}, {"a": tensor | {"shape": [2**63, 2]}}, {"a": tensor | {"dtype": "O"}},
        {"a": tensor | {"data_offsets": [8, 0]}}, {"a": 1}, {"__metadata__": {"rcan": 1}},
        {"__metadata__": {"rcan": "{}"}}, {"__metadata__": {"rcan": "[" * 50_000}}, [1], None,
    ]  # fmt: skip
    texts = [json.dumps(header).encode() for header in headers]
    files = [struct.pack("<Q", len(text)) + text + bytes(64) for text in texts]
    files += [struct.pack("<Q", size) + b"{}" for size in (2**63, 2**64 - 1, 10**9, 0, 1)]
    path = folder / "other"
    save_file({"a": torch.ones(2)}, path)
    files.append(path.read_bytes())
    torch.save({"a": Code(folder / "ran")}, path)
    files.append(path.read_bytes())
    return [*files, pickle.dumps(Code(folder / "ran")), pickle.dumps({"a": 1}, protocol=0)]


def test_strange_files_of_tensors(kept, tmp_path, figure):
    contents = [*GARBAGE, *strange(tmp_path)]
    for content in contents:
        for path in (kept.state.last, kept.state.best, kept.run / "best.safetensors"):
            path.write_bytes(content)
            assert not (kept.load_run() if path.parent == kept.run else kept.load_state(str(path)))
            path.write_bytes(kept.files[path])
    assert not (tmp_path / "ran").exists()
    figure("bad input", KIND, 3 * len(contents))


@pytest.mark.parametrize("name", ["config.json", "best.json", "best.safetensors"])
def test_a_damaged_run_folder(name, kept, amount, figure):
    counted = Counter()
    path = kept.run / name

    @seeded(amount(5, 250))
    @given(damaged(kept.files[path]))
    def of_bytes(content):
        path.write_bytes(content)
        counted[kept.load_run()] += 1

    of_bytes()
    for content in GARBAGE:
        path.write_bytes(content)
        assert not kept.load_run(name), content[:80]
    for instead in INSTEAD:
        put(path, instead)
        assert not kept.load_run(name)
        assert not path.with_name("ran").exists()
    figure("bad input", KIND, counted.total() + len(GARBAGE) + len(INSTEAD))


@pytest.mark.parametrize("name", ["config.json", "best.json"])
def test_edited_values_of_a_run_folder(name, kept, amount, figure):
    counted = Counter()
    path = kept.run / name

    @seeded(amount(15, 200))
    @given(edited(json.loads(kept.files[path])))
    def of_values(value):
        path.write_text(json.dumps(value), encoding="utf-8")
        counted[kept.load_run()] += 1

    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_the_place_of_a_state(instead, kept, figure):
    put(kept.state.last, instead)
    if not os.path.exists(kept.state.last):  # no state: the training starts afresh
        assert kept.state.load(kept.model, kept.optimizer) == Progress()
    else:
        assert not kept.load_state(str(kept.state.last))
    kept.restore()
    put(kept.state.best, instead)
    assert not kept.load_state(str(kept.state.best))
    figure("bad input", KIND, 2)
