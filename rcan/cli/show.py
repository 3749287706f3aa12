"""`rcan params` and `rcan doctor`: every setting, and what this machine has and lacks."""

from typing import Annotated, Any

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json


def params(
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY]...", help="Only these sections or keys, e.g. wcl or wcl.tau."
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Show the settings for this data set.")] = None,
    scale: Annotated[
        str | None, typer.Option(help="Show the settings for this scale: full or small.")
    ] = None,
    differing: Annotated[
        bool, typer.Option("--differing", help="Show only what differs from the paper.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print every setting of the family of models in use beside the paper's value."""
    from rcan.project import project_root
    from rcan.settings_table import settings_table
    from rcan.table import Table

    be_quiet(quiet)
    rows = settings_table(project_root() / "params.yaml", keys or [], data=data, scale=scale)
    if differing:
        rows = [row for row in rows if row["value"] != row["paper"]]
    if json:
        print_json(rows)
        return
    told = [[r["key"], _shown(r["value"]), _shown(r["paper"]), r["note"]] for r in rows]
    print(Table(["", "here", "paper", ""], told).text())


def doctor(json: Json = False, quiet: Quiet = False) -> None:
    """Say what this machine lacks and how to get it; exit code 1 if the pipeline cannot run."""
    from dataclasses import asdict

    from rcan.machine import findings

    be_quiet(quiet)
    found = findings()
    if json:
        print_json([asdict(finding) for finding in found])
    else:
        width = max(len(finding.name) for finding in found)
        for finding in found:
            print(f"{finding.state:<8}{finding.name:<{width + 2}}{finding.told}")
    if any(finding.state == "lacks" for finding in found):
        raise typer.Exit(1)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).replace(" ", "")
