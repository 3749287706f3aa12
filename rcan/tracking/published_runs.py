"""Runs that were trained elsewhere and published as numbers, in an MLflow store of their own.

The store is a folder below .rcan/, named by all that is in it, so that another content is another
store. Its database gets its name when all runs are in it: one that is there is whole.
"""

import contextlib
import fcntl
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rcan.ablation.cells import Cells
from rcan.ablation.plan import MAIN
from rcan.errors import UserError
from rcan.evaluation.results import COUNTS, SCORES, read_best, read_history, read_scores
from rcan.files import digest_of, exclusive, replacing
from rcan.tracking.database import SQLITE, uri_of, without_journal
from rcan.tracking.experiment import PUBLISHED, experiment_tags, published_views
from rcan.tracking.folders import cell_tags, read_config, register_of
from rcan.tracking.guard import AtOnce
from rcan.tracking.metrics import IF_THERE, NEEDED, constant_metrics, printed_cell
from rcan.tracking.restore import FILES, OF_BEST, log_numbers
from rcan.tracking.tracker import EXPERIMENT, Tracker

FOLDER = Path("reports/iu_xray-small")  # the project's own
_STORES, _DATABASE, _IN_USE = Path(".rcan/published"), "mlflow.db", "in-use"
CONSTANT = "best constant report"  # a run of its own, to compare with
_REMEDY = "get the published folder again, e.g. by `git checkout`"


@dataclass(frozen=True)
class PublishedRun:
    """One run's folder, checked: its settings as dotted keys and what the files hold."""

    folder: Path
    config: dict[str, Any]
    best: dict[str, Any]
    scores: dict[str, Any]
    history: list[dict[str, str]]  # empty where it is not published

    @property
    def data_name(self) -> str:
        """The data set that it was trained on."""
        return str(self.config["data.name"])

    @property
    def cell(self) -> str:
        """The cell, by the folder's name; of the main run, by its settings."""
        name = self.folder.name
        if name == MAIN:
            return printed_cell(self.config) or MAIN
        return name.removesuffix(f"-{self.config['train.seed']}")


def published_runs(folder: Path) -> list[PublishedRun]:
    """The runs in `folder`/runs or, where there is no such folder, in `folder`.

    Raises:
        UserError: there is none, or one is not whole.
    """
    inside = folder / "runs"
    inside = inside if inside.is_dir() else folder
    if not inside.is_dir():
        raise UserError(
            f"{folder}: expected a folder of published runs, found none; leave it out for {FOLDER}"
        )
    places = sorted(
        path
        for path in inside.iterdir()
        if path.is_dir() and path.name[0] != "." and not _is_floor(path)
    )
    if not any((place / SCORES).is_file() for place in places):
        raise UserError(
            f"{inside}: expected folders of published runs with {SCORES}, found none; name "
            "another, or write one by `python -m pipeline.publish FOLDER`"
        )
    return [_read(place) for place in places]


def _is_floor(place: Path) -> bool:
    """One that was scored and never trained: counts alone."""
    return (place / COUNTS).is_file() and not any((place / f).exists() for f in (*FILES, SCORES))


def _read(place: Path) -> PublishedRun:
    return PublishedRun(
        place,
        read_config(place, _REMEDY),
        read_best(place, _REMEDY, *OF_BEST),
        read_scores(place / SCORES, _REMEDY, NEEDED, IF_THERE),
        read_history(place, _REMEDY) if (place / FILES[-1]).exists() else [],
    )


def published_store(root: Path, folder: Path | None = None, *, quiet: bool = False) -> Path:
    """The database with the runs of a published folder, made where it is missing or outdated.

    Args:
        root: the project, where the store belongs.
        folder: what `python -m pipeline.publish` wrote, or a folder that has it as `runs`; the
            project's own if none is named.
        quiet: without a word of what is done.

    Raises:
        UserError: the folder holds no run or a damaged one, or the store cannot be made.
    """
    root = root.resolve()
    folder, shown = folder or root / FOLDER, folder or FOLDER
    runs = published_runs(folder)
    register = register_of(root)
    tags = [_tags(run, root, register) for run in runs]
    stores = root / _STORES / digest_of(str(folder.resolve()))
    contents = [[run.config, run.best, run.scores, run.history] for run in runs]
    # MLflow keeps where its files lie, and another version may not read this one's database.
    made_by = [str(root), version("mlflow"), _code()]
    store = stores / digest_of([made_by, tags, contents])
    database = store / _DATABASE
    with exclusive(stores / "lock", "preparing published runs", wait=True):
        if not database.exists():
            if not quiet:
                print(
                    f"putting {len(runs)} runs into MLflow: wait, it takes a while, once",
                    flush=True,
                )
            _remove_unused(stores)
            _make(store, runs, tags)
    if not quiet:
        print(f"MLflow holds {len(runs)} published run(s) of {shown}", flush=True)
    return database


@contextlib.contextmanager
def in_use(database: Path) -> Iterator[str]:
    """The address of a store, in its folder, which nobody removes while the block lasts."""
    with (database.parent / _IN_USE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield f"{SQLITE}{database.name}"


def _remove_unused(stores: Path) -> None:
    """Remove what is left of other contents, and of a process that was killed."""
    for store in stores.iterdir():
        if store.is_dir():
            with (store / _IN_USE).open("w") as lock, contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(store)


def _make(store: Path, runs: list[PublishedRun], tags: list[dict[str, str]]) -> None:
    store.mkdir()
    # A name of its own: MLflow holds on to a database that it knows by its name.
    unfinished = store / f"{uuid.uuid4().hex}.db"
    try:
        with without_journal(), replacing(store / _DATABASE) as beside:
            for data_name in sorted({run.data_name for run in runs}):
                pairs = zip(runs, tags, strict=True)
                _fill(unfinished, [pair for pair in pairs if pair[0].data_name == data_name])
            unfinished.replace(beside)
    except Exception as error:
        shutil.rmtree(store, ignore_errors=True)
        said = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{store}: the published runs cannot be put into MLflow ({said}); mend it and try again"
        ) from error


def _fill(database: Path, runs: list[tuple[PublishedRun, dict[str, str]]]) -> None:
    """An experiment with all runs of one data set."""
    data_name = runs[0][0].data_name
    views = published_views([tags for _, tags in runs])
    tracker = Tracker(
        uri_of(database), database.parent, f"{EXPERIMENT}{data_name}-published",
        partial(experiment_tags, data_name=data_name, views=views), AtOnce("MLflow", ""),
    )  # fmt: skip
    for published, tags in reversed(runs):  # what came first stands last among equal ones
        name = published.folder.name
        run = tracker.attach(
            key=digest_of([name, published.best["key"]]),  # of a folder that is there twice, two
            name=f"{published.cell}-{tags['seed']} (published)",
            params=published.config,
            tags=tags,
        )
        log_numbers(run, published.history, published.scores)
        run.log_dataset(data_name, published.best["data_digest"], tags[PUBLISHED])
        run.end("FINISHED")
        files = [published.folder / file for file in (*FILES, SCORES)]
        run.log_files([path for path in files if path.exists()])
    constant = tracker.attach(
        key=digest_of([CONSTANT, data_name]),
        name=f"{CONSTANT} (published)",
        params={"data.name": data_name},
        tags={
            **{view.tag: "yes" for view in views if view.tag},
            "cell": CONSTANT,
            PUBLISHED: runs[0][1][PUBLISHED],
            "mlflow.note.content": "No model: one report for every study, the floor of all runs.",
        },
    )
    constant.log_scores(constant_metrics(runs[0][0].scores))
    constant.end("FINISHED")


def _tags(run: PublishedRun, root: Path, register: Cells) -> dict[str, str]:
    """What a run is found by. Its cell is the one that it is named after."""
    twins = [name for name, told in register.shown.items() if told.printed_as == run.cell]
    place = run.folder.resolve()
    place = place.relative_to(root) if place.is_relative_to(root) else place
    return {
        **cell_tags([run.cell, *twins], register, run.config),
        "cell": run.cell,
        "seed": str(run.config["train.seed"]),
        PUBLISHED: str(place),
        "mlflow.note.content": f"Trained elsewhere; its published numbers lie in `{place}`. "
        "No report and no weights came with them.",
    }


def _code() -> str:
    """A digest of what writes the store: other code may write another."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
