"""What commands have in common: results go to standard output, everything else to standard error.

Exit codes: 0 for done, 1 for bad input (one line), 2 for a wrong command line.
"""

import json
import os
import sys
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]


def be_quiet(quiet: bool) -> None:
    """Have progress bars and `remark` say nothing."""
    if quiet:
        os.environ["TQDM_DISABLE"] = "1"


def remark(line: str) -> None:
    """A line for whoever watches, out of the way of what the command prints."""
    if os.environ.get("TQDM_DISABLE") != "1":
        print(line, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """For another program: NaN is null there, for JSON has none."""
    print(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
