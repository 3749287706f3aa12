"""`rcan data check` and `rcan data import`: what a folder of raw data holds, and putting it in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json, remark
from rcan.data.sets import REAL, TITLES

if TYPE_CHECKING:
    from rcan.config import PipelineSettings

app = typer.Typer(no_args_is_help=True, help="Check raw data and put them in place.")
Name = Annotated[
    str | None, typer.Option("--data", help=f"{' or '.join(REAL)}; without it, as in params.yaml.")
]
WithIds = Annotated[
    bool, typer.Option("--with-ids", help="Name studies and files even if the data are restricted.")
]


@app.command()
def check(
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of the data; without it, the one that the pipeline reads."),
    ] = None,
    data: Name = None,
    with_ids: WithIds = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say which layout a folder holds, what is there, what is missing and what to do next.

    No image is packed. Ends with 1 if the data cannot be used.
    """
    be_quiet(quiet)
    name, chosen, settings = _data(data)
    if settings is None:
        print_json({"data": name, "usable": True}) if json else print(
            "demo: its studies are drawn, it needs no data\nnext: dvc repro"
        )
        return
    found = _checked(settings, name, root or _place(name, settings), with_ids)
    found["next"] = _next(found, name, chosen, root)
    _show(found, json)
    if not found["usable"]:
        raise typer.Exit(1)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="The folder that holds the data.")],
    reports: Annotated[
        Path | None,
        typer.Option(help="MIMIC-CXR: the folder of the reports, if it is another."),
    ] = None,
    data: Name = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the files instead of making a link.")
    ] = False,
    with_ids: WithIds = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put a folder of raw data where the pipeline looks: data/raw/<name>, a link to it.

    It is checked first, and nothing is ever overwritten. A copy that was stopped goes on.
    """
    from rcan.data import importing
    from rcan.errors import UserError
    from rcan.project import project_root

    be_quiet(quiet)
    name, chosen, settings = _data(data)
    if settings is None:
        raise UserError("demo: its studies are drawn, there is nothing to import; name --data")
    target = project_root() / "data" / "raw" / name
    there = importing.is_there(source, target)
    if there and copy:
        raise UserError(f"{target}: expected nothing there, found a link; remove it to have a copy")
    for folder in (source, *([reports] if reports else [])):
        if not folder.is_dir():
            raise UserError(f"{folder}: expected a folder, found none; name the data's folder")
    found = _checked(settings, name, source, with_ids, reports)
    if found["usable"] and not there:
        if copy:
            found["copied"] = importing.copy(source, target, reports)
        else:
            importing.link(source, target, reports)
    if found["usable"]:
        found["place"] = str(target)
    found["next"] = _next(found, name, chosen, source, imported=True)
    _show(found, json)
    if found["usable"] and _place(name, settings) != target:
        remark(f"data.root or RCAN_DATA names {_place(name, settings)}: that is what is read")
    if not found["usable"]:
        raise typer.Exit(1)


def _data(name: str | None) -> tuple[str, str, "PipelineSettings | None"]:
    """The data set asked for, the one that params.yaml names, and settings for the first; the demo
    needs none."""
    from rcan.config import load_settings, resolve
    from rcan.errors import UserError, shown
    from rcan.project import project_root
    from rcan.reading import parse_yaml, read_text

    if name not in (None, *TITLES):
        raise UserError(f"expected --data to be one of {', '.join(REAL)}, got {shown(name)}")
    path = project_root() / "params.yaml"
    settings = load_settings(path)
    chosen = settings.data.name
    name = name or chosen
    if name == "demo":
        return name, chosen, None
    if name == chosen:
        return name, chosen, settings
    raw = parse_yaml(read_text(path, "settings", "have it back by `git checkout params.yaml`"))
    raw["data"]["name"] = name
    return name, chosen, resolve(raw)


def _place(name: str, settings: "PipelineSettings") -> Path:
    """Where the pipeline looks for the raw data."""
    from rcan.project import raw_data_folder

    return raw_data_folder(name, settings.data.root)


def _checked(
    settings: "PipelineSettings", name: str, root: Path, with_ids: bool, reports: Path | None = None
) -> dict[str, Any]:
    """The check of a folder; with `reports` from elsewhere, of both as they will lie together."""
    import tempfile

    from rcan.data import importing
    from rcan.data.check import check as check_data
    from rcan.project import project_root
    from rcan.reporting.published import published_table

    restricted = settings.privacy.restricted
    shown = with_ids or not restricted
    beside: dict[str, Any] = {"restricted": restricted}
    beside["paper"] = {
        row["split"]: {"reports": int(row["reports"]), "images": int(row["images"])}
        for row in published_table(2)
        if row["dataset"] == name
    }
    work = project_root() / "data" / "work"
    if reports is None:
        return check_data(name, root, with_ids=shown, work=work) | beside
    with tempfile.TemporaryDirectory() as place:
        joined = Path(place) / name
        importing.link(root, joined, reports)
        found = check_data(name, joined, with_ids=shown, work=work)
    if "reason" in found:
        found["reason"] = found["reason"].replace(str(joined), str(root.absolute()))
    return found | beside | {"folder": str(root.absolute())}


def _next(
    found: dict[str, Any], name: str, chosen: str, root: Path | None, *, imported: bool = False
) -> str:
    if not found["usable"]:
        return f"mend what is said above, then: rcan data check --data {name}" + (
            f" --root {root}" if root else ""
        )
    if root and not imported:
        return f"rcan data import {root} --data {name}"
    return "dvc repro" if name == chosen else f"dvc exp run -S data.name={name}"


def _show(found: dict[str, Any], json: bool) -> None:
    from rcan.data.check import lines_of

    if json:
        print_json(found)
        return
    print("\n".join(lines_of(found)))
    if found["restricted"]:
        remark("restricted data: studies are counted, not named")
    if "place" in found:
        how = f"{found['copied']:,} files copied" if "copied" in found else "linked"
        print(f"{how}: {found['place']}")
    print("usable" if found["usable"] else f"not usable: {found['reason']}")
    print(f"next: {found['next']}")
