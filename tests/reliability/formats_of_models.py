"""Samples of what a training keeps, and of tokenizers."""

import copy
import io
import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tokenizers
import torch
from cases import Code, Fuzz, Sample, attempt, damaged, edited
from hypothesis import strategies as st
from model_parts import read
from safetensors.torch import save
from tiny import tiny

from rcan.config.resolve import _LATER as LATER
from rcan.model.build import build_model
from rcan.text.tokenizer import Tokenizer
from rcan.training.checkpoint import TrainingState, read_tensors, write_tensors
from rcan.training.key import SELECTION, Progress
from rcan.training.optimization import build_optimizer
from rcan.training.run_folder import load_run, write_run

# A training's state and its run folder

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
    projections = torch.ones(2, 2, dtype=torch.long)
    logits, _ = read(model, images, projections, torch.randint(4, words, (2, 5)))
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

    def load_state(self, *names: str, told: dict | None = None) -> bool:
        """Whether the state was gone on with; then it is the one that was kept, to the last bit."""
        found = attempt(lambda: self.state.load(self.model, self.optimizer), *names)
        if found is None:
            return False
        if told:
            assert asdict(found).items() <= told.items()
            scored = [row for row in found.history if SELECTION in row]
            for rows in (scored, found.history[: len(found.history) - len(scored)]):
                assert len({frozenset(row) for row in rows}) <= 1  # of an epoch's kind
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
        for section, values in LATER.items():  # what an earlier version's file lacks
            written[section] = values | written[section]
        written["data"]["root"] = None  # a place on a machine, as that of the weights
        written["visual"]["weights"] = Path(written["visual"]["weights"]).name
        assert settings.of_the_model() == written
        assert best == json.loads((self.run / "best.json").read_bytes())
        assert type(best["epoch"]) is int and isinstance(best["length_penalty"], int | float)
        return True

    def check(self, model) -> None:
        assert all(torch.equal(self.weights[n], value) for n, value in model.state_dict().items())


def strange(mark: Path) -> list[bytes]:
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
    code = io.BytesIO()
    torch.save({"a": Code(mark)}, code)
    files += [save({"a": torch.ones(2)}), code.getvalue(), pickle.dumps(Code(mark))]
    return [*files, pickle.dumps({"a": 1}, protocol=0)]


def states(name: str, folder: Path, patch) -> Sample:
    """`last` goes on with a training, `best` is what its run gets in the end."""
    kept = Kept(folder)
    path = getattr(kept.state, name)
    whole = path.read_bytes()
    size = struct.unpack("<Q", whole[:8])[0] + 8

    def of_its_length(content: bytes) -> bytes:  # or longer
        return content + whole[len(content) :]

    def afresh() -> None:
        assert kept.state.load(kept.model, kept.optimizer) == Progress()

    return Sample(
        "checkpoints", path, lambda *names: kept.load_state(str(path), *names),
        fuzz=[
            Fuzz((damaged(whole) | damaged(whole[:size])).map(of_its_length), (8, 400), good=False),
            *(_fuzz_of_the_last(kept) if name == "last" else ()),
        ],
        wrong=strange(path.with_name("ran")),
        absent=("nothing", "a loop of links", "a link to nowhere") if name == "last" else (),
        missing=afresh,
    )  # fmt: skip


CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "wider": lambda t: torch.stack([t, t]),
    "none": lambda t: torch.zeros(0), "flat": lambda t: t.reshape(-1)[:1],
    "double": lambda t: t.double(), "half": lambda t: t.half(), "whole": lambda t: t.long(),
    "one": lambda t: torch.zeros(2, 2, 2, 2, 2),
}  # fmt: skip
EXTRAS = ["", "model.x", "optimizer.999.step", "optimizer.x", "optimizer.0.y.z", "x"]


def _fuzz_of_the_last(kept: Kept) -> list[Fuzz]:
    """Edits of what is written beside the tensors, and of these."""
    path = kept.state.last
    mapped, facts = read_tensors(path)
    tensors = {name: value.clone() for name, value in mapped.items()}  # the file will be damaged

    def of_progress(value: Any) -> bool | None:
        try:
            write_tensors(path, tensors, value)
        except (UnicodeEncodeError, AttributeError):  # no file could hold it
            return None
        told = value.get("progress") if isinstance(value, dict) else None
        return kept.load_state(str(path), told=told)

    def of_tensors(case: tuple[str, str, str]) -> bool:
        name, change, extra = case
        found = dict(tensors)
        if change == "drop":
            del found[name]
        else:
            found[name] = CHANGES[change](tensors[name])
        if extra:
            found[extra] = torch.ones(2)
        write_tensors(path, found, facts)
        return kept.load_state(str(path))

    changed = st.tuples(
        st.sampled_from(sorted(tensors)), st.sampled_from(["drop", *CHANGES]),
        st.sampled_from(EXTRAS),
    )  # fmt: skip
    return [
        Fuzz(edited(facts), (40, 400), of_progress),
        Fuzz(changed, (10, 300), of_tensors, good=False),
    ]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


RUN = ("config.json", "best.json", "best.safetensors")


def runs(name: str, folder: Path, patch) -> Sample:
    """A file of a run folder."""
    kept = Kept(folder)
    path = kept.run / name
    fuzz = [Fuzz(damaged(path.read_bytes()), (5, 250), good=False)]
    if path.suffix == ".json":
        fuzz.append(Fuzz(edited(json.loads(path.read_bytes())).map(_json), (40, 200)))
    return Sample(
        "checkpoints",
        path,
        kept.load_run,
        fuzz,
        told=(name,),
        wrong=strange(path.with_name("ran")) if path.suffix == ".safetensors" else (),
    )


# Tokenizers

TEXTS = ["the heart is big .", "the lungs are clear .", "the x-ray is clear ."]
SAVED = Tokenizer.train(TEXTS, min_freq=1)


def read_tokenizer(path: Path) -> bool:
    """Whether it was read; then it has the words of the file and splits and joins by them."""
    found = attempt(lambda: Tokenizer.load(path), str(path), "dvc repro tokenizer")
    if found is None:
        return False
    words = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
    assert found.vocabulary == words and list(words.values()) == list(range(len(words)))
    known = [word for word in TEXTS[0].split() if word in words]
    assert found.encode(" ".join([*known, "zebra"]), 20) == [1, *(words[w] for w in known), 3, 2]
    assert found.decode([1, *(words[word] for word in known), 3, 2, 0]) == " ".join(
        [*known, "<unk>"]
    )
    return True


def foreign():
    """Tokenizers of other kinds, and ours with one part more."""
    ours = json.loads(SAVED._backend.to_str())
    models = [{"type": "BPE", "vocab": {}, "merges": []}, {"type": "WordPiece", "vocab": {"a": 0}}]
    truncated = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    parts = [
        *({"model": model} for model in models),
        {"model": {**ours["model"], "unk_token": "zebra"}},
        {"model": {**ours["model"], "vocab": {**ours["model"]["vocab"], "the": 2**32 - 1}}},
        {"model": {**ours["model"], "vocab": dict.fromkeys(ours["model"]["vocab"], 0)}},
        {"normalizer": {"type": "Lowercase"}}, {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None}, {"truncation": truncated}, {"added_tokens": []},
    ]  # fmt: skip
    yield tokenizers.Tokenizer(tokenizers.models.BPE()).to_str()
    yield from (json.dumps(ours | part) for part in parts)
    yield json.dumps(ours).replace('"the"', '"clear"')  # a word twice
    yield json.dumps(ours).replace('"the"', '"\\ud800"')


def tokenizers_of_words(folder: Path, patch) -> Sample:
    path = folder / "tokenizer.json"
    SAVED.save(path)
    held = json.loads(path.read_bytes())
    return Sample(
        "tokenizers",
        path,
        lambda: read_tokenizer(path),
        fuzz=[
            Fuzz(damaged(path.read_bytes()), (25, 500), good=False),
            Fuzz(edited(held).map(_json), (25, 700), good=False),
        ],
        wrong=foreign(),
        right=[_json(held), json.dumps(held, indent=7).encode("utf-8")],
    )
