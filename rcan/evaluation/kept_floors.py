"""The floors' reports, chosen once for a data set and the same for every model of it.

They hold text of reports: their file stays with the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rcan.data.store import read_summary
from rcan.errors import UserError
from rcan.files import sha256_of, write_json
from rcan.reading import Shape, read_json

FLOORS = {"most_frequent": "train", "best_constant": "val"}  # floor -> the split it is chosen on

_REMEDY = "run `dvc repro floors`"
_OF_A_PROTOCOL: Shape = dict.fromkeys(FLOORS, str)
_KEPT: Shape = {
    "data_digest": str, "tokenizer_digest": str, "max_length": int,
    "reports": {"strict": _OF_A_PROTOCOL, "paper": _OF_A_PROTOCOL},
}  # fmt: skip


@dataclass(frozen=True)
class KeptFloors:
    """protocol -> floor -> its report; `max_length` shortens references of protocol paper."""

    reports: Mapping[str, Mapping[str, str]]
    max_length: int


def write_floors(path: Path, floors: KeptFloors, *, processed: Path, tokenizer: Path) -> None:
    """Write the floors of this data and this tokenizer."""
    facts = _facts(processed, tokenizer)
    write_json(path, {**facts, "max_length": floors.max_length, "reports": floors.reports})


def read_floors(path: Path, *, processed: Path, tokenizer: Path) -> KeptFloors:
    """Floors written by `write_floors`; `UserError` if of another data set or tokenizer."""
    kept = read_json(path, _KEPT, "the floors' reports", _REMEDY)
    for fact, digest in _facts(processed, tokenizer).items():
        if kept[fact] != digest:
            raise UserError(
                f"{path}: expected floors with the {fact} of what is there, {digest}; got "
                f"{kept[fact]}; {_REMEDY}"
            )
    return KeptFloors(kept["reports"], kept["max_length"])


def _facts(processed: Path, tokenizer: Path) -> dict[str, str]:
    return {
        "data_digest": read_summary(processed)["digest"],
        "tokenizer_digest": sha256_of(tokenizer),
    }
