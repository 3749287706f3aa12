"""The tokenizer: distinct special ids, words from the training reports, a file of its own."""

import json

import pytest
import tokenizers

from rcan.errors import UserError
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

TEXTS = ["the heart is big .", "the lungs are clear .", "the x-ray is clear ."]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, min_freq=2)


def test_special_ids_are_the_first_four(tokenizer):
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (0, 1, 2, 3)
    assert list(tokenizer.vocabulary)[:4] == ["<pad>", "<bos>", "<eos>", "<unk>"]


def test_only_frequent_words_are_kept(tokenizer):
    assert set(tokenizer.vocabulary) - {"<pad>", "<bos>", "<eos>", "<unk>"} == {
        "the", ".", "is", "clear",
    }  # fmt: skip
    assert len(tokenizer) == 8


def test_hyphenated_words_are_one_token():
    assert "x-ray" in Tokenizer.train(TEXTS, min_freq=1).vocabulary


def test_encoding_ends_in_eos_however_long_the_text(tokenizer):
    ids = tokenizer.encode("the the the the", max_length=3)
    assert ids == [1, *[tokenizer.vocabulary["the"]] * 3, 2]
    assert tokenizer.encode("", max_length=3) == [1, 2]


def test_decoding_stops_at_eos_and_prints_unknown_words(tokenizer):
    ids = tokenizer.encode("the zebra is clear .", max_length=60)
    assert tokenizer.decode([*ids, 0, 0, 5]) == "the <unk> is clear ."
    assert tokenizer.decode([]) == ""


def test_a_second_training_and_a_saved_file_give_the_same_ids(tokenizer, tmp_path):
    again = Tokenizer.train(TEXTS, min_freq=2)
    tokenizer.save(tmp_path / "a.json")
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert Tokenizer.load(tmp_path / "a.json").vocabulary == tokenizer.vocabulary


def test_nothing_frequent_enough_is_an_error():
    with pytest.raises(UserError, match="at least 9 times"):
        Tokenizer.train(TEXTS, min_freq=9)


def test_a_broken_or_foreign_file_is_an_error(tmp_path):
    foreign = tokenizers.Tokenizer(tokenizers.models.BPE()).to_str()
    other_ids = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, "a")).to_str()
    for content in ("", "{", "{}", "[1]", json.dumps({"model": None}), foreign, other_ids):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(UserError, match=r"t\.json.*dvc repro tokenizer"):
            Tokenizer.load(tmp_path / "t.json")
    with pytest.raises(UserError, match=r"none\.json"):
        Tokenizer.load(tmp_path / "none.json")


def test_ids_with_a_gap_are_an_error(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "t.json")
    saved = json.loads((tmp_path / "t.json").read_text())
    saved["model"]["vocab"]["thorax"] = 999
    (tmp_path / "t.json").write_text(json.dumps(saved))
    with pytest.raises(UserError, match=r"t\.json: expected .* found thorax with 999"):
        Tokenizer.load(tmp_path / "t.json")


def test_iu_xray_has_759_words(shared):
    annotation = json.loads((shared / "data" / "iu_xray" / "annotation.json").read_text())
    texts = [clean_iu_xray(record["report"]) for record in annotation["train"]]
    assert len(Tokenizer.train(texts, min_freq=3)) == 759 + 4
