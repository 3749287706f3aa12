"""All commands in one place: what `rcan --help` lists, in this order."""

import os
import sys

import typer

from rcan.cli import data, tracker
from rcan.cli.audit import audit
from rcan.cli.export import export
from rcan.cli.generate import generate
from rcan.cli.scoring import compare, score
from rcan.cli.show import doctor, params
from rcan.cli.submit import submit

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich takes longer to load than all the rest
    pretty_exceptions_enable=False,
    help="RCAN: chest X-rays in, a radiology report out. `dvc repro` runs the pipeline itself.",
)
app.command()(generate)
app.command()(score)
app.command()(compare)
app.command()(audit)
app.command()(params)
app.command()(export)
app.command()(submit)
app.command()(tracker.ui)
app.command()(tracker.sync)
app.add_typer(data.app, name="data")
app.command()(doctor)


def main() -> None:
    """Entry point: bad input ends with one line."""
    from rcan.errors import UserError, one_line
    from rcan.streams import standard_streams

    os.environ["MPLBACKEND"] = "agg"  # with a notebook's, matplotlib may refuse to load
    # NumPy's products are small here: several threads would wait for each other, and give other
    # last bits than one.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        with standard_streams():
            app()
    except (UserError, OSError) as error:
        sys.exit(f"error: {one_line(str(error))}")
