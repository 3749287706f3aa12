"""What commands have in common: results go to standard output, everything else to standard error.

Exit codes: 0 for done, 1 for bad input (one line), 2 for a wrong command line, 141 where the
reader of what is printed has gone.
"""

import json
import os
import re
import sys
from typing import Annotated, Any

import typer

from rcan.data.sets import Name

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]

# Of `rcan score`, `rcan compare` and `rcan audit`:
Cleaned = Annotated[
    Name,
    typer.Option(
        "--data", help="Clean texts as R2Gen does for this data set; clean text stays as it is."
    ),
]
Clean = Annotated[
    bool,
    typer.Option(
        "--clean/--no-clean",
        help="--no-clean: the texts are clean already, leave them as they are.",
    ),
]
Resamples = Annotated[int, typer.Option(min=1, help="Resamples of the bootstrap over studies.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
Meteor = Annotated[
    bool, typer.Option("--meteor/--no-meteor", help="METEOR needs Java; --no-meteor leaves it out.")
]


def be_quiet(quiet: bool) -> None:
    """Have progress bars and `remark` say nothing."""
    if quiet:
        os.environ["TQDM_DISABLE"] = "1"


def remark(line: str) -> None:
    """A line for whoever watches, out of the way of what the command prints."""
    if os.environ.get("TQDM_DISABLE") != "1":
        print(line, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """For another program, escaped where standard output is no UTF-8.

    Half a pair of surrogates, which stands for a byte of a file's name, is told as `\\udce9`: a
    text of six characters, for strict readers take none of the half.
    """
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    text = _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):x}", text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2)
    print(text)


_SURROGATE = re.compile("[\ud800-\udfff]")
