"""Options that `rcan score`, `rcan compare` and `rcan audit` have in common."""

from typing import Annotated, Literal

import typer

Data = Literal["iu_xray", "mimic_cxr", "demo"]  # whose cleaning is known
Cleaned = Annotated[
    Data,
    typer.Option(
        "--data", help="Clean texts as R2Gen does for this data set; clean text stays as it is."
    ),
]
Clean = Annotated[
    bool,
    typer.Option(
        "--clean/--no-clean",
        help="--no-clean: the texts are clean already, leave them as they are.",
    ),
]
Resamples = Annotated[int, typer.Option(min=1, help="Resamples of the bootstrap over studies.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
Meteor = Annotated[
    bool, typer.Option("--meteor/--no-meteor", help="METEOR needs Java; --no-meteor leaves it out.")
]
