"""The data sets: a line in TITLES and a module of that name here, loaded when it is asked for.

A new one is those two, see docs/data.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sqlite3 import Connection

    from rcan.data.raw import RawDataSet

# As params.yaml names it -> as tables and model cards do.
TITLES = {
    "demo": "demo (drawn phantoms, no X-rays)",
    "iu_xray": "IU X-ray",
    "mimic_cxr": "MIMIC-CXR",
}
DEMO = "demo"
REAL = tuple(name for name in TITLES if name != DEMO)  # read from a folder

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(TITLES)]


@dataclass(frozen=True)
class Source:
    """What a data set is read from."""

    root: Path  # the folder of a real one
    database: "Connection"  # empty, on disk, for what memory should not hold; open while it is used
    texts: bool = True  # False: reports need not be opened, for they are counted alone
    drawn: Mapping[str, int] = field(default_factory=dict)  # the demo's settings, and image_size


@dataclass(frozen=True)
class DataSet:
    """All that is particular to one data set."""

    read: Callable[[Source], "RawDataSet"]  # raises UserError, or OSError, for what it cannot read
    clean: Callable[[str], str]  # a report, so that its tokens are `text.split()`
    what: str  # it is and whose, for a model card
    terms: str  # on which it may be had, for a model card
    min_freq: int  # of a word, and
    max_length: int  # of a report in words, where scores are asked for away from params.yaml
    restricted: bool = False  # no report, image or id of it may be told
    rules: tuple[str, ...] = ()  # which studies are kept and how; () for selection's RULES
    # How many reports have findings, and of how many looked into, of a folder in a layout.
    sample: Callable[[Path, str], tuple[int, int] | None] | None = None


def data_set(name: str) -> DataSet:
    """The data set of that name in TITLES."""
    found: DataSet = import_module(f"{__name__}.{name}").DATA_SET
    return found
