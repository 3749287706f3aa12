"""`rcan export`: a trained model to hand on."""

from pathlib import Path
from typing import Annotated

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json, remark

MAIN = "main"


def export(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] OUT", show_default=False,
            help="The run in runs/ (without it, main), and the folder to write.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an exported model in OUT.")
    ] = False,
    register: Annotated[
        bool,
        typer.Option(
            "--register",
            help="Also put it into MLflow's registry, as rcan-<data set> with the alias best; "
            "without OUT, only there.",
        ),
    ] = False,
    may_share: Annotated[
        bool,
        typer.Option(
            "--i-may-share",
            help="State that you may share what is derived from a restricted data set.",
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write the best model of a run to a folder: weights, tokenizer, scores and a model card."""
    from tempfile import TemporaryDirectory

    from rcan.errors import UserError
    from rcan.project import project_root
    from rcan.sharing.export import export as write

    be_quiet(quiet)
    given = places or []
    if len(given) > 2 or not (given or register):
        raise UserError(
            f"expected a folder to write, or a run and a folder; got {len(given)} names"
        )
    root = project_root()
    if len(given) == 1 and (root / "runs" / given[0] / "best.json").is_file():  # a run, no place
        if not register:
            raise UserError(
                f"{given[0]} is a run: expected a folder to write it to, as in "
                f"`rcan export {given[0]} my-model`"
            )
        run, given = given[0], []
    else:
        run = given[0] if len(given) == 2 else MAIN
    with TemporaryDirectory() as temporary:
        out = Path(given[-1]) if given else Path(temporary) / "model"
        exported = write(root, run, out, force=force, may_share=may_share)
        for line in exported.remarks:
            remark(line)
        if given and not json:
            print(f"{exported.name} in {out}; not for clinical use")
        address = None
        if register:
            from rcan.sharing.registry import register as put

            remark("registering in MLflow: wait, it takes some seconds")
            address = put(exported, root)
        if json:
            folder = str(out) if given else None
            print_json({"name": exported.name, "folder": folder, "registered": address})
        elif address:
            print(address)
