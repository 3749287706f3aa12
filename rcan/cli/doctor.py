"""`rcan doctor`: what this machine has, what it lacks, and how to get it."""

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json


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
