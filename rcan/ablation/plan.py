"""Cells to settings: each cell resolved, without what it does not use, and equal ones trained once.

A plan file holds the resolved settings of one run and the digest of the code that trains it, so
that a stage which depends on it runs again exactly when something changes that this cell uses. A
run that equals the main one, or an earlier cell's, holds a pointer in their place:
{"same_as": "main"}. Why a run cannot be trained on the data at hand stands with its settings, as
`not_run`. Beside them `scoring/` has, by run, the digest of the code that scores it.
"""

import copy
import difflib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rcan.ablation.cells import Cell, Cells, load_cells, run_name
from rcan.code import code_digest, file_of
from rcan.config import PROFILES, PipelineSettings, from_sections, resolve
from rcan.config.sections import OF_ALL
from rcan.data.sets import REAL
from rcan.errors import UserError, name_shown
from rcan.files import digest_of, place_beside, write_json, write_text
from rcan.reading import parse_yaml, read_json, read_text
from rcan.training.key import modules_of, training_code

MAIN = "main"
PLAN = Path("ablations/plan")
ORDER = "order.txt"
CODE = "code"
NOT_RUN = "not_run"
_REMEDY = "run `dvc repro ablations/dvc.yaml:plan`"
_DATA = ("root", "image_size", "fit", "min_freq")  # these shaped the data that are there


def plan_files(params: Path, cells: Path, labelled: bool = True) -> dict[str, dict[str, Any]]:
    """`plan` for what params.yaml and cells.yaml hold."""
    raw = parse_yaml(read_text(params, "settings", "mend it"))
    return plan(raw, load_cells(cells), labelled)


def plan(raw: object, cells: Cells, labelled: bool = True) -> dict[str, dict[str, Any]]:
    """Run name -> its settings, or a pointer; `raw` is what params.yaml holds, `labelled` whether
    the training studies have labels.

    Raises `UserError` that names the cell whose changes do not fit.
    """
    first = {digest_of(_used(resolve(raw))): MAIN}
    planned: dict[str, dict[str, Any]] = {}
    for cell, seed in cells.runs():
        settings = _resolved(raw, cell, seed)
        used, why = _used(settings), _why_not(settings, labelled)
        name, digest = run_name(cell.name, seed), digest_of(used)
        own = {**used, NOT_RUN: why} if why else used
        planned[name] = {"same_as": first[digest]} if digest in first else own
        first.setdefault(digest, name)
    return planned


def _why_not(settings: PipelineSettings, labelled: bool) -> str:
    family = settings.family
    needed = family.pretrain_share > 0 or family.needs_labels == "always"
    if needed and family.needs_labels != "never" and not labelled:
        return "needs labels, which this data set does not have"
    if family.keeps_reports and settings.privacy.restricted:
        return "keeps reports, and these are restricted"
    return ""


def evaluation_code(family: str, data: str) -> str:
    """The digest of all code that shapes the scores of a model of this family on a data set."""
    return code_digest("pipeline.evaluate", f"rcan.data.sets.{data}", *modules_of(family))


def write_plan(planned: dict[str, dict[str, Any]], out: Path) -> None:
    """Two files a run and their order; the folder whole or not at all."""
    with _whole(out) as beside:
        for name, content in planned.items():
            trained, scored = _with_code(content)
            write_json(beside / f"{name}.json", trained)
            write_json(beside / "scoring" / f"{name}.json", scored)
        write_text(beside / ORDER, "".join(f"{name}\n" for name in planned))


def write_main_plan(settings: PipelineSettings, out: Path) -> None:
    """What the training of the main run depends on besides its data, and its evaluation."""
    with _whole(out) as beside:
        trained, scored = _with_code(_used(settings))
        write_json(beside / "train.json", trained)
        write_json(beside / "evaluate.json", scored)


def _with_code(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A plan and the digest of the code that trains by it; and of that which scores its model."""
    if "same_as" in content:
        return content, content
    family = content["model"]["family"]
    if file_of(f"rcan.model.families.{family}") is None:
        raise UserError(
            f"model.family {family} has settings: expected its model, too, found no "
            f"rcan/model/families/{family}.py; docs/add-a-system.md shows one"
        )
    scoring = evaluation_code(family, content["data"]["name"])
    code = training_code(family, content["curriculum"]["name"], content["reward"]["share"])
    return {**content, CODE: code}, {CODE: scoring}


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place once the block is done."""
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    yield beside
    shutil.rmtree(out, ignore_errors=True)
    beside.replace(out)


def planned_runs(folder: Path = PLAN) -> list[str]:
    """The names of all planned runs, all cells of the first seed first."""
    return read_text(folder / ORDER, "the order of cells", _REMEDY).split()


def same_as(name: str, folder: Path = PLAN) -> str:
    """The run whose folders hold what `name` stands for: itself, or the one that it points to."""
    if name == MAIN:
        return MAIN
    planned = _read(name, folder)
    return str(planned.get("same_as", name))


def planned_settings(
    name: str, settings: PipelineSettings, folder: Path = PLAN
) -> PipelineSettings:
    """The settings of a planned run that is no pointer.

    What the run does not use, and where raw data lie, are taken from `settings`.

    Raises:
        UserError: no such run is planned, or its plan is damaged.
    """
    planned = _read(name, folder)
    own: dict[str, Any] = {**settings.model_dump(), **settings.others}
    for section, values in planned.items():
        if section not in (CODE, NOT_RUN):
            own[section] = {**own[section], **values} if isinstance(values, dict) else values
    try:
        return from_sections(own)
    except UserError as error:
        raise UserError(f"{folder / name}.json: {error}; {_REMEDY}") from None


def why_not(name: str, folder: Path = PLAN) -> str:
    """Why a planned run cannot be trained on the data at hand; empty if it can."""
    return str(_read(name, folder).get(NOT_RUN, ""))


def leave_out(out: Path, why: str) -> None:
    """Leave in `out`, a run's or an evaluation's folder, nothing but why it is not run."""
    with _whole(out) as beside:
        write_json(beside / f"{NOT_RUN}.json", {NOT_RUN: why})


def pass_on(out: Path, of: str) -> None:
    """Leave in `out`, a run's or an evaluation's folder, nothing but which one it equals."""
    with _whole(out) as beside:
        write_json(beside / "same_as.json", {"same_as": of})


def _read(name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.json"
    if not path.is_file() and name not in (known := planned_runs(folder)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"{name_shown(name)} is no planned cell with its seed; {hint}")
    planned: dict[str, Any] = read_json(path, dict, "the plan of a cell", _REMEDY)
    return planned


def _resolved(raw: object, cell: Cell, seed: int) -> PipelineSettings:
    changed: Any = copy.deepcopy(raw)
    try:
        for key, value in {**cell.changes, "train.seed": seed}.items():
            section, _, field = key.partition(".")
            known = changed.get(section)
            if not isinstance(known, dict) or field not in known:
                raise UserError(f"unknown key {name_shown(key)}")
            known[field] = _of_profiles(known[field], value)
        settings = resolve(changed)
        _require_read(settings, cell)
        return settings
    except UserError as error:
        raise UserError(f"ablations/cells.yaml, cell {cell.name}: {error}") from None


def _of_profiles(known: Any, value: Any) -> Any:
    """A cell's value; one by profiles changes these and no others, `paper` all of full scale."""
    if not isinstance(value, dict) or not value.keys() <= set(PROFILES):
        return value
    if not isinstance(known, dict):
        known = {"demo": known, "paper": known}
    if "paper" in value:
        small = {"small": known["paper"]} if "paper" in known else {}
        known = small | {name: it for name, it in known.items() if name not in REAL}
    return {**known, **value}


def _require_read(settings: PipelineSettings, cell: Cell) -> None:
    """Raise `UserError` if the cell changes what its family of models does not read: it would be
    another model under the cell's name."""
    family = settings.model.family
    for key in cell.changes:
        section, _, field = key.partition(".")
        unread = section == "model" and field not in settings.family.reads | OF_ALL
        if unread or section in settings.others:
            raise UserError(
                f"expected settings that model.family {family} reads, got {key}; give the cell its "
                "own model.family, or have params.yaml's back"
            )


def _used(settings: PipelineSettings) -> dict[str, Any]:
    """What shapes a training besides its data, as plain values."""
    used = settings.used()
    used.pop("demo", None)  # shapes the data, too
    used["visual"]["weights"] = settings.visual.weights
    for key in _DATA:
        del used["data"][key]
    return used
