"""All commands in one place: what `rcan --help` lists, in this order."""

import sys

import typer

from rcan.cli import data, tracker

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich takes longer to load than all the rest
    pretty_exceptions_enable=False,
    help="RCAN: chest X-rays in, a radiology report out. The pipeline itself runs by `dvc repro`.",
)
app.command()(tracker.ui)
app.command()(tracker.sync)
app.add_typer(data.app, name="data")


def main() -> None:
    """Entry point: bad input ends with one line."""
    from rcan.errors import UserError, one_line

    try:
        app()
    except (UserError, OSError) as error:
        sys.exit(f"error: {one_line(str(error))}")
