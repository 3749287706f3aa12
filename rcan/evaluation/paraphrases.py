"""The part of METEOR's table of paraphrases that the texts at hand can need.

METEOR's jar reads 5.3 million pairs of phrases at each start, which is nearly all of the time that
scoring a data set takes. A pair can match only where all words of both of its phrases are in the
texts, so that a part with these pairs alone, in their order, gives the same counts. It takes a few
seconds to make, so it is kept.
"""

import gzip
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rcan.errors import UserError
from rcan.files import digest_of, replacing, sha256_of, write_json
from rcan.reading import Shape, read_json

_ABOUT: Shape = {"words": [str], "sha256": str}  # what stands beside a part
VERSION = 1  # to be raised with what a part holds
CHUNK = 1 << 24  # bytes of the unpacked table that are looked at together
# Of an entry, letters, digits, line feeds and what is not ASCII stay; all else parts words.
_STAYS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\n"
_BARE = bytes(code if code in _STAYS or code > 127 else 32 for code in range(256))


@dataclass(frozen=True)
class KeptParts:
    """Parts of the table in `folder`: of each a table as the jar reads it, and its words beside.

    `vocabulary`: words that other texts of the same data set may hold, so that one part serves all.
    """

    folder: Path
    vocabulary: Collection[str] = ()

    def part_for(self, table: Path, digest: str, texts: Iterable[str]) -> Path:
        """A table that gives these texts the same counts as `table`, whose digest is given.

        It is a kept part, a new one, or `table` itself where a text is not ASCII or nothing can be
        written.
        """
        words = words_of([*texts, *filter(str.isascii, self.vocabulary)])
        if words is None:
            return table
        kept = self._kept(digest)
        if fitting := [path for path, has in kept.items() if words <= has]:
            return min(fitting, key=lambda path: len(kept[path]))
        path = self.folder / f"{_name(digest, words)}.gz"
        try:
            with replacing(path) as beside, beside.open("wb") as file:
                file.write(gzip.compress(part_of(table, words), 1, mtime=0))
            about = {"words": sorted(words), "sha256": sha256_of(path)}
            write_json(path.with_suffix(".json"), about)
        except OSError:  # as of a full disk
            return table
        return path

    def _kept(self, digest: str) -> dict[Path, set[str]]:
        """The words of each part that is whole: the jar would score by half a table unseen."""
        kept = {}
        for about in self.folder.glob("*.json"):
            path = about.with_suffix(".gz")
            with suppress(UserError, OSError):
                told = read_json(about, _ABOUT, "words of a part of METEOR's table", "delete it")
                words = set(told["words"])
                if about.stem == _name(digest, words) and told["sha256"] == sha256_of(path):
                    kept[path] = words
        return kept


def words_of(texts: Iterable[str]) -> set[str] | None:
    """All that can be a word, or part of one, once METEOR's jar has split these texts: runs of
    letters and digits in lower case, also without the full stops between them (u.s. becomes us).

    None where a text is not ASCII, for the jar has more rules then, or holds the mark that it puts
    in the place of full stops.
    """
    text = " ".join(texts)
    if not text.isascii() or "DOTMULTI" in text.replace(".", ""):
        return None
    text = text.lower()
    undotted = re.sub(r"\.\.+", " ", text).replace(".", "")  # several in a row part words
    return set(re.findall("[a-z0-9]+", f"{text} {undotted}"))


def part_of(table: Path, words: Iterable[str]) -> bytes:
    """The entries of the table whose words are all among `words`, in their order: three lines each,
    a probability and two phrases."""
    wanted = {word.encode() for word in words}
    part: list[bytes] = []
    rest, last, fits = b"", b"", True
    with gzip.open(table) as file:
        while chunk := file.read(CHUNK):
            text = rest + chunk
            lines, bare = text.split(b"\n"), text.translate(_BARE).split(b"\n")
            num = (len(lines) - 1) // 3 * 3
            for place in range(0, num, 3):
                if bare[place + 1] != last:  # many entries in a row begin with one phrase
                    last = bare[place + 1]
                    fits = wanted.issuperset(last.split())
                if fits and wanted.issuperset(bare[place + 2].split()):
                    part += lines[place : place + 3]
            rest = b"\n".join(lines[num:])
    return b"".join(line + b"\n" for line in part)


def _name(digest: str, words: Iterable[str]) -> str:
    return digest_of([VERSION, digest, sorted(words)])
