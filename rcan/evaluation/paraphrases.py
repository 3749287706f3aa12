"""The part of METEOR's table of paraphrases that the texts at hand can need.

METEOR's jar reads 5.3 million pairs of phrases at each start, which is nearly all of the time that
scoring a data set takes. A pair can match only where all words of both of its phrases are in the
texts, so that a part with these pairs alone, in their order, gives the same counts. It takes a few
seconds to make, so it is kept.
"""

import gzip
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rcan.errors import UserError
from rcan.files import digest_of, replacing, sha256_of, write_json
from rcan.reading import read_json

CHUNK = 1 << 24  # bytes of the unpacked table that are looked at together
_ABOUT = {"words": list, "sha256": str}  # what stands beside a kept part
_KEPT = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\n"
# Of a phrase, letters, digits and what is not ASCII stay; all else ends a word.
_WORDS = bytes(code if code in _KEPT or code > 127 else 32 for code in range(256))


@dataclass(frozen=True)
class KeptParts:
    """Parts of the table, kept in `folder` for all that is scored on one data set.

    `vocabulary`: words that other texts of this data set may hold, so that one part serves all.
    """

    folder: Path
    vocabulary: Iterable[str] = ()

    def part_for(self, whole: Path, texts: Iterable[str]) -> Path:
        """A table that gives these texts the same counts as `whole`: a kept part, a new one, or
        `whole` itself where the words that METEOR sees are not known or nothing can be written."""
        words = words_of([*texts, *self.vocabulary])
        if words is None:
            return whole
        kept = dict(self._kept())
        if fitting := next((path for path, has in kept.items() if words <= has), None):
            return fitting
        words |= max(kept.values(), key=len, default=set())
        path = self.folder / f"{digest_of(sorted(words))}.gz"
        try:
            with replacing(path) as beside:
                beside.write_bytes(gzip.compress(part_of(whole, words), 1, mtime=0))
            write_json(_about(path), {"words": sorted(words), "sha256": sha256_of(path)})
        except OSError:  # as of a full disk: the whole table needs none
            return whole
        return path

    def _kept(self) -> Iterator[tuple[Path, set[str]]]:
        for about in sorted(self.folder.glob("*.json")):
            path = about.with_suffix(".gz")
            with suppress(UserError, OSError):  # a damaged one is made again
                told = read_json(about, _ABOUT, "words of a part of METEOR's table", "delete it")
                if told["sha256"] == sha256_of(path):
                    yield path, set(told["words"])


def words_of(texts: Iterable[str]) -> set[str] | None:
    """All that can be a word, or part of one, once METEOR's jar has split these texts: runs of
    letters and digits, in lower case, and those of words whose full stops it drops (u.s. is us).

    None where the jar's rules for other alphabets would have to be known, or where a text holds the
    mark that it puts in the place of full stops.
    """
    text = " ".join(texts)
    if not text.isascii() or "DOTMULTI" in text:
        return None
    text = text.lower()
    undotted = (word.replace(".", "") for word in text.split() if "." in word)
    return set(re.findall("[a-z0-9]+", " ".join([text, *undotted])))


def part_of(whole: Path, words: Iterable[str]) -> bytes:
    """The entries of the table whose words are all among `words`, in their order: three lines each,
    a probability and two phrases."""
    wanted = {word.encode() for word in words}
    part: list[bytes] = []
    rest, last, fits = b"", b"", True
    with gzip.open(whole) as file:
        while chunk := file.read(CHUNK):
            text = rest + chunk
            lines, bare = text.split(b"\n"), text.translate(_WORDS).split(b"\n")
            num = (len(lines) - 1) // 3 * 3
            for place in range(0, num, 3):
                if bare[place + 1] != last:  # many entries in a row begin with one phrase
                    last = bare[place + 1]
                    fits = wanted.issuperset(last.split())
                if fits and wanted.issuperset(bare[place + 2].split()):
                    part += lines[place : place + 3]
            rest = b"\n".join(lines[num:])
    return b"".join(line + b"\n" for line in part)


def _about(path: Path) -> Path:
    return path.with_suffix(".json")
