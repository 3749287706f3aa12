"""`rcan compare`: two runs, beyond noise or within it."""

from typing import Annotated

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json
from rcan.cli.scoring_options import Clean, Cleaned, Meteor, Resamples, Seed

_RUN = "An evaluated run (main, rve_cgm-1), a folder with scores.json, or a predictions.csv."


def compare(
    first: Annotated[str, typer.Argument(help=_RUN)],
    second: Annotated[str, typer.Argument(help="The same.")],
    data: Cleaned = "iu_xray",
    clean: Clean = True,
    resamples: Resamples = 1000,
    seed: Seed = 1,
    meteor: Meteor = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two runs on the same studies: settings, scores, paired differences, controls."""
    from rcan.project import project_root
    from rcan.scoring.compare import compare_runs
    from rcan.scoring.compare_table import compare_tables
    from rcan.scoring.sets import Cleaner

    be_quiet(quiet)
    result = compare_runs(
        (first, second),
        project_root(),
        Cleaner(data, clean),
        resamples=resamples,
        seed=seed,
        meteor=meteor,
    )
    if json:
        print_json(result)
    else:
        print(compare_tables(result))
