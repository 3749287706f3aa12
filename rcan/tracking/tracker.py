"""The tracker: one MLflow experiment a data set, one run a configuration. Imports mlflow, late."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rcan.files import replacing
from rcan.tracking.experiment import experiment_tags
from rcan.tracking.guard import Guard
from rcan.tracking.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

AT_THE_END = 10.0  # seconds that a run may wait for its tracker, once, when its work is done
BATCH = 100  # MLflow takes no more parameters or tags at once, and 1,000 metrics
EXPERIMENT = "rcan-"
SQLITE = "sqlite:///"
OTHERWISE = "The work goes on without it; `rcan sync` catches up later."


class Tracker:
    """An experiment, opened and written to in the background, see `Guard`. Nothing here raises."""

    client: MlflowClient  # these two are there once it is open
    experiment_id: str

    def __init__(
        self, uri: str, root: Path, name: str, present: Callable[[str], Mapping[str, str]],
        guard: Guard | None = None,
    ):  # fmt: skip
        """Open the experiment `name`; `present` gives its tags, by its id.

        `guard`: what to do all that is sent, if not to go on without MLflow.
        """
        self.local = uri.startswith(SQLITE)  # whether what is logged stays on this machine
        told = uri.replace(str(_in_plain_letters(root)), str(root))
        self.guard = guard or Guard(f"MLflow ({told}) is not available", OTHERWISE)
        self._uri, self._root, self._name, self._present = uri, root, name, present
        try:
            _import_mlflow()
        except Exception as problem:
            self.guard.close(problem)
        self.guard.send(self._open)

    def _open(self) -> None:
        from mlflow import MlflowClient

        with (
            _alone(self._root / ".rcan" / "mlflow.lock") if self.local else contextlib.nullcontext()
        ):
            if self.local:
                _create_database(self._uri)
            self.client = MlflowClient(tracking_uri=self._uri)
            experiment = self._experiment()
            self.experiment_id = experiment.experiment_id
            # Alone, too: a tag that two set at once is an error of one of them.
            for key, value in self._present(self.experiment_id).items():
                if experiment.tags.get(key) != value:
                    self.client.set_experiment_tag(self.experiment_id, key, value)

    def _experiment(self) -> Experiment:
        name = self._name
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            # MLflow would put the files under the current folder, for good.
            files = (self._root / "mlartifacts" / name).as_uri() if self.local else None
            return self.client.get_experiment(self.client.create_experiment(name, files))
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return experiment

    @contextlib.contextmanager
    def run(
        self, *, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any],
        with_diff: bool = True,
    ) -> Iterator[Run]:  # fmt: skip
        """The run of this `key`, continued or new, open as long as the block lasts.

        It ends FINISHED, KILLED (an interrupt or an exit), or FAILED (any exception; it goes on).

        Args:
            key: what makes two runs the same, e.g. the digest of configuration and data.
            name: what the run is, as people will read it: "RVE+CGM tau=0.07".
            params: resolved settings, one level of dotted keys.
            tags: anything else to find it by, e.g. the seed.
            with_diff: whether uncommitted edits are recorded; anything may be written in them.
        """
        run = self.attach(key=key, name=name, params=params, tags=tags)
        run.start(with_diff=with_diff)
        status = "KILLED"
        try:
            yield run
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            run.end(status)
            self.guard.finish(AT_THE_END)

    def attach(
        self, *, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> Run:
        """The run of this `key`, continued or new, its status left alone.

        A continued run keeps its name and its parameters.
        """
        return Run(self, key, name, params, tags)

    def recorded(self) -> list[Any]:
        """MLflow's runs of the experiment, but those that somebody else put there."""
        search = partial(self.client.search_runs, [self.experiment_id])
        page = search()
        runs = list(page)
        while page.token:
            page = search(page_token=page.token)
            runs += page
        return [run for run in runs if "rcan.key" in run.data.tags]

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        params: Mapping[str, str] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Metrics as (name, value, step, time), parameters and tags, in as few requests as may be.

        For `Run` alone, as `log_dataset`: called in the background, they may raise.
        """
        from mlflow.entities import Metric, Param, RunTag

        all_metrics = [
            Metric(name, float(value), when, step) for name, value, step, when in metrics
        ]
        all_params = [Param(name, value) for name, value in params.items()]
        all_tags = [RunTag(name, value) for name, value in tags.items()]
        for i in range(0, max(len(all_metrics), len(all_params), len(all_tags)), BATCH):
            part = slice(i, i + BATCH)
            self.client.log_batch(run_id, all_metrics[part], all_params[part], all_tags[part])

    def log_dataset(self, run_id: str, name: str, digest: str, source: str) -> None:
        """The data set that a run was trained on."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=name, digest=digest, source_type="local", source=source)
        context = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, [DatasetInput(dataset, [context])])


def open_tracker(*, root: Path, data_name: str) -> Tracker:
    """The experiment `rcan-<data_name>`, created where it is missing.

    It lives at MLFLOW_TRACKING_URI, or else in `root`/mlflow.db with its files in
    `root`/mlartifacts. Where it cannot be had, one line will say so.
    """
    present = partial(experiment_tags, data_name=data_name)
    return Tracker(store_uri(root), root.resolve(), EXPERIMENT + data_name, present)


def asked_uri() -> str:
    """MLFLOW_TRACKING_URI, or else that of mlflow.db in the folder where MLflow is started."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"


def store_uri(root: Path) -> str:
    """Where runs are kept: MLFLOW_TRACKING_URI, or else `root`/mlflow.db.

    A relative path means the repository: an experiment's working copy is deleted after it.
    """
    uri = asked_uri()
    path = uri.removeprefix(SQLITE)
    if path == uri or path.startswith("/"):
        return uri
    return f"{SQLITE}{_in_plain_letters(root.resolve())}/{path}"


def uri_of(database: Path) -> str:
    """What MLflow and SQLAlchemy call this file, whatever the letters of its folder."""
    return f"{SQLITE}{_in_plain_letters(database.parent.resolve())}/{database.name}"


def database_of(uri: str) -> Path:
    """The file of a database that `store_uri` names, without the options after a `?`."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


@cache
def _in_plain_letters(root: Path) -> Path:
    """`root`, by the system's number of the open folder where its name means more in a URI.

    Quoted it will not do: of `%3F` SQLAlchemy makes `?`, and MLflow a folder of that name.
    """
    if not {"%", "?"} & set(str(root)):
        return root
    numbered = Path(f"/proc/self/fd/{os.open(root, os.O_RDONLY)}")  # open as long as this process
    return numbered if numbered.is_dir() else root


def _import_mlflow() -> None:
    """Import it without telemetry or chatter, and with no more than a minute for a request.

    Not in the background: what it loads is shared with what training loads.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic|sqlalchemy)\b")  # not the user's


def _create_database(uri: str) -> None:
    """Create a database whole or not at all: MLflow can neither use nor finish half of one."""
    from mlflow import MlflowClient

    path = database_of(uri)
    if path.exists() and path.stat().st_size:
        return
    with without_journal(), replacing(path) as beside:
        MlflowClient(tracking_uri=f"sqlite:///{beside}").search_experiments(max_results=1)


@contextlib.contextmanager
def without_journal() -> Iterator[None]:
    """Have databases that are opened in the block written three times as fast, and without a file
    of their own beside them: for those that are thrown away when the process is killed."""
    from sqlalchemy import Engine, event

    def set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", set_up)
    try:
        yield
    finally:
        event.remove(Engine, "connect", set_up)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time pass: two that create the same database at once both lose it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
