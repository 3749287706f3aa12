"""A damaged or foreign tokenizer.json: the very words that it holds, or one line."""

import json
from collections import Counter

import pytest
import tokenizers
from cases import GARBAGE, INSTEAD, attempt, damaged, edited, put, seeded
from hypothesis import given

from rcan.text.tokenizer import Tokenizer

TEXTS = ["the heart is big .", "the lungs are clear .", "the x-ray is clear ."]
SAVED = Tokenizer.train(TEXTS, min_freq=1)
KIND = "tokenizers"


@pytest.fixture
def path(tmp_path):
    SAVED.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def read(path):
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


def test_damaged_bytes_and_edited_values(path, amount, figure):
    counted = Counter()
    saved = path.read_bytes()

    @seeded(amount(25, 500))
    @given(damaged(saved))
    def of_bytes(content):
        path.write_bytes(content)
        counted[read(path)] += 1

    @seeded(amount(25, 700))
    @given(edited(json.loads(saved)))
    def of_values(value):
        path.write_text(json.dumps(value), encoding="utf-8")
        counted[read(path)] += 1

    of_bytes()
    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


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


def test_foreign_tokenizers_and_garbage(path, figure):
    contents = [*GARBAGE, *(text.encode() for text in foreign())]
    for content in contents:
        path.write_bytes(content)
        assert not read(path), content[:80]
    figure("bad input", KIND, len(contents))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(path, instead, figure):
    put(path, instead)
    assert not read(path)
    assert not path.with_name("ran").exists()
    figure("bad input", KIND, 1)
