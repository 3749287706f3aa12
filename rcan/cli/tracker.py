"""`rcan ui` and `rcan sync`: MLflow's interface, and what it lacks."""

from pathlib import Path
from typing import Annotated

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json


def sync(json: Json = False, quiet: Quiet = False) -> None:
    """Add runs that MLflow lacks: restored from the cache, or trained while it was down."""
    be_quiet(quiet)
    held, told = _sync()
    print_json({"runs": held}) if json else print(told)


def ui(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="With --published: a folder of published runs, if not the project's own."
        ),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Show published runs, trained elsewhere, apart from your own. Nothing is trained.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port; without it 5000, or a free one if that is taken."
        ),
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="First add the runs that MLflow lacks.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Open all runs in MLflow, reachable from this machine only, until Ctrl-C."""
    from rcan.project import project_root
    from rcan.tracking import free_port, in_use, published_store, serve

    if folder is not None and not published:
        raise typer.BadParameter("a folder is shown by --published FOLDER")
    be_quiet(quiet)
    chosen = free_port(port)
    if published:
        database = published_store(project_root(), folder, quiet=quiet)
        with in_use(database) as uri:
            serve(database.parent, chosen, uri=uri, quiet=quiet)
        return
    if sync:
        _, told = _sync()
        if not quiet:
            print(told, flush=True)
    serve(project_root(), chosen, quiet=quiet)


def _sync() -> tuple[int, str]:
    """How many runs MLflow holds then, and the line that tells it."""
    from rcan.project import project_root
    from rcan.tracking import run_folders
    from rcan.tracking import sync as sync_runs

    root = project_root()
    folders = run_folders(root)
    elsewhere = len([*root.glob("runs/*/best.json")]) - len(folders)
    held = sync_runs(root=root, folders=folders)
    told = f"MLflow holds {held} run(s) of this folder"
    if elsewhere:
        told += f"; {elsewhere} trained elsewhere: `rcan ui --published FOLDER` shows them"
    return held, told
