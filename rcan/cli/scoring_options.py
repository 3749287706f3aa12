"""Options that `rcan score`, `rcan compare` and `rcan audit` have in common."""

from typing import Annotated, Literal

import typer

Data = Literal["iu_xray", "mimic_cxr", "demo"]  # whose cleaning is known
Cleaned = Annotated[
    Data,
    typer.Option("--data", help="Whose cleaning of texts, R2Gen's; cleaning clean text is safe."),
]
Clean = Annotated[
    bool, typer.Option("--clean/--no-clean", help="Texts are clean already: leave them alone.")
]
Resamples = Annotated[int, typer.Option(min=1, help="Of the bootstrap over studies.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]
Meteor = Annotated[bool, typer.Option("--meteor/--no-meteor", help="METEOR takes Java.")]
