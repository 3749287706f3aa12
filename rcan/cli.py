"""The `rcan` command. Nothing heavy is imported until a command runs."""

import sys
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich takes longer to load than all the rest
    help="RCAN: chest X-rays in, a radiology report out. The pipeline itself runs by `dvc repro`.",
)


@app.command()
def sync() -> None:
    """Put into MLflow what it lacks: runs restored from the cache, or trained while it was down."""
    _sync()


@app.command()
def ui(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Without it 5000, or a free one if that is taken."),
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Put into MLflow what it lacks, first.")
    ] = True,
) -> None:
    """Show all runs in MLflow's interface, on this machine alone, until Ctrl-C."""
    from rcan.project import project_root
    from rcan.tracking import free_port, serve

    chosen = free_port(port)
    if sync:
        _sync()
    serve(project_root(), chosen)


def _sync() -> None:
    from rcan.project import project_root
    from rcan.tracking import run_folders
    from rcan.tracking import sync as sync_runs

    root = project_root()
    print(f"{sync_runs(root=root, folders=run_folders(root))} run(s) in MLflow", flush=True)


def main() -> None:
    """Entry point: bad input ends with one line."""
    from rcan.errors import UserError, one_line

    try:
        app()
    except (UserError, OSError) as error:
        sys.exit(f"error: {one_line(str(error))}")
