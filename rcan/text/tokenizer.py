"""Word-level tokenizer over cleaned reports, stored as a standard Hugging Face `tokenizers` file.

Words are split at white space alone (`WhitespaceSplit`), so that hyphenated words and full stops
are the tokens the metrics see. R2Gen gives padding, begin and end one id; here they are distinct.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordLevelTrainer

from rcan.errors import UserError, name_shown, shown
from rcan.files import write_text
from rcan.reading import read_json

# Its threads gain nothing here, and where the system gives none it would panic.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")  # ids 0, 1, 2, 3


class Tokenizer:
    """Maps cleaned text to ids and back; words follow the special tokens, most frequent first."""

    pad_id, bos_id, eos_id, unk_id = range(4)

    def __init__(self, backend: tokenizers.Tokenizer):
        self._backend = backend
        self.vocabulary = dict(sorted(backend.get_vocab().items(), key=lambda entry: entry[1]))
        self._words = list(self.vocabulary)  # ids count from 0 without a gap

    def __len__(self) -> int:
        """Number of ids: the words and the four special tokens."""
        return len(self.vocabulary)

    @classmethod
    def train(cls, texts: Iterable[str], min_freq: int) -> "Tokenizer":
        """Learn the words that occur at least `min_freq` times in the cleaned training reports.

        Raises UserError when no word is that frequent.
        """
        backend = _backend({})
        trainer = WordLevelTrainer(
            vocab_size=10**9,  # min_freq alone decides
            min_frequency=min_freq,
            special_tokens=list(SPECIAL_TOKENS),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        if backend.get_vocab_size() == len(SPECIAL_TOKENS):
            raise UserError(
                f"expected words that occur at least {min_freq} times in the training reports, "
                "found none; lower data.min_freq or give more studies"
            )
        return cls(backend)

    def encode(self, text: str, max_length: int) -> list[int]:
        """Ids of bos, the first `max_length` words, eos."""
        words = self._backend.encode(text, add_special_tokens=False).ids[:max_length]
        return [self.bos_id, *words, self.eos_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Words up to the first eos, joined by spaces; padding and bos vanish, unknown is <unk>.

        `ids` holds plain ints (call `.tolist()` on a tensor or array first).
        """
        words = []
        for index in ids:
            if index == self.eos_id:
                break
            if index not in (self.pad_id, self.bos_id):
                words.append(self._words[index])
        return " ".join(words)

    def save(self, path: Path) -> None:
        """Write the tokenizer as JSON; equal tokenizers give equal bytes."""
        write_text(path, self._backend.to_str(pretty=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a tokenizer written by `save`. Raises UserError for any other file.

        It is made anew from its words: the library reads whatever a file asks for, and for hours.
        """
        remedy = "run `dvc repro tokenizer`"
        kept = read_json(path, {"model": {"vocab": dict}}, "a tokenizer", remedy)
        words = kept["model"]["vocab"]
        if tuple(words)[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS:
            raise UserError(
                f"{path}: expected {', '.join(SPECIAL_TOKENS)} as the first words, "
                f"found others; {remedy}"
            )
        for number, (word, index) in enumerate(words.items()):
            if type(index) is not int or index != number:
                raise UserError(
                    f"{path}: expected words with the ids 0 to {len(words) - 1} in order, "
                    f"found {name_shown(word)} with {shown(index)}; {remedy}"
                )
        backend = _backend(words)
        backend.add_special_tokens(list(SPECIAL_TOKENS))
        if kept != json.loads(backend.to_str()):
            raise UserError(
                f"{path}: expected words split at white space and nothing else, found settings of "
                f"another tokenizer; {remedy}"
            )
        return cls(backend)


def _backend(words: dict[str, int]) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = WhitespaceSplit()
    return backend
