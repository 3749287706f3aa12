"""The `rcan` command. Nothing heavy is imported until a command runs."""

import sys

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich takes longer to load than all the rest
    help="RCAN: chest X-rays in, a radiology report out. The pipeline itself runs by `dvc repro`.",
)


@app.callback()
def _commands() -> None:
    """Keeps `sync` a command of its own while it is the only one."""


@app.command()
def sync() -> None:
    """Put into MLflow what it lacks: runs restored from the cache, or trained while it was down."""
    from rcan.project import project_root
    from rcan.tracking import RunFolders
    from rcan.tracking import sync as sync_runs

    root = project_root()
    folders = RunFolders(
        run=root / "runs/main", evaluation=root / "data/evaluation/main", reports=root / "reports"
    )
    print(f"{sync_runs(root=root, folders=[folders])} run(s) in MLflow")


def main() -> None:
    """Entry point: bad input ends with one line."""
    from rcan.errors import UserError, one_line

    try:
        app()
    except (UserError, OSError) as error:
        sys.exit(f"error: {one_line(str(error))}")
