"""`rcan ui` and `rcan sync`: MLflow's interface, and what it lacks."""

from typing import Annotated

import typer


def sync() -> None:
    """Put into MLflow what it lacks: runs restored from the cache, or trained while it was down."""
    _sync()


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
