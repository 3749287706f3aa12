"""The tracker: one MLflow experiment a data set, one run a configuration. Imports mlflow, late."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from rcan.tracking.experiment import experiment_tags
from rcan.tracking.guard import Guard
from rcan.tracking.null import NullRun, NullTracker
from rcan.tracking.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 5.0  # seconds one exchange may take
OPENING_SERVER = 10.0
OPENING_LOCAL = 40.0  # creating the database takes 3-10 s, and another process may be at it
BATCH = 100  # MLflow takes no more parameters or tags at once, and 1,000 metrics
OTHERWISE = "The work goes on without it; `rcan sync` catches up later."


class Tracker:
    """An open experiment. Nothing here raises, and after the first failure nothing is sent."""

    def __init__(self, client: MlflowClient, experiment_id: str, guard: Guard, *, local: bool):
        self.client = client
        self.experiment_id = experiment_id
        self.local = local  # whether what is logged stays on this machine
        self.guard = guard
        # A user who gave the server more time means it.
        asked = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", 0))
        self.patience = max(PATIENCE, asked)

    def send(self, action: Callable[P, T], *arguments: P.args, **settings: P.kwargs) -> T | None:
        """`action(...)` within the patience, or None."""
        return self.guard(lambda: action(*arguments, **settings), self.patience)

    @contextlib.contextmanager
    def run(
        self, *, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> Iterator[NullRun]:
        """The run of this `key`, continued or new, open as long as the block lasts.

        It ends FINISHED, KILLED (an interrupt or an exit), or FAILED (any exception; it goes on).

        Args:
            key: what makes two runs the same, e.g. the digest of configuration and data.
            name: what the run is, as people will read it: "RVE+CGM tau=0.07".
            params: resolved settings, one level of dotted keys.
            tags: anything else to find it by, e.g. the seed.
        """
        run = self.attach(key=key, name=name, params=params, tags=tags) or NullRun()
        run.start()
        try:
            yield run
        except Exception:
            run.end("FAILED")
            raise
        except BaseException:
            run.end("KILLED")
            raise
        run.end("FINISHED")

    def attach(
        self, *, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> Run | None:
        """The run of this `key`, continued or new, its status left alone; None without a tracker.

        A continued run keeps its name and its parameters.
        """
        return self.send(self._attach, key, name, params, tags)

    def _attach(
        self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> Run:
        tags = {"rcan.key": key, **{k: str(v) for k, v in tags.items()}}
        found = self.client.search_runs(
            [self.experiment_id],
            f"tags.`rcan.key` = '{key}'",
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
        known = found[0] if found else None
        if known is None:
            known = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        run = Run(self, known.info.run_id, known.info.status, known.data.tags, new=not found)
        self.log_batch(
            run.id,
            params={k: str(v) for k, v in params.items() if k not in known.data.params},
            tags={k: v for k, v in tags.items() if known.data.tags.get(k) != v},
        )
        return run

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[tuple[str, float, int]] = (),
        params: Mapping[str, str] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Metrics as (name, value, step), parameters and tags, in as few requests as may be."""
        from mlflow.entities import Metric, Param, RunTag

        when = int(time.time() * 1000)
        all_metrics = [Metric(name, float(value), when, step) for name, value, step in metrics]
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


def open_tracker(*, root: Path, data_name: str) -> Tracker | NullTracker:
    """The experiment `rcan-<data_name>`, created where it is missing.

    It lives at MLFLOW_TRACKING_URI, or else in `root`/mlflow.db with its files in
    `root`/mlartifacts. Where it cannot be had, one line says so and a NullTracker comes back.
    """
    root = root.resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    local = uri.startswith("sqlite:///")
    if local:
        # A relative path means the repository: an experiment's working copy is deleted after it.
        uri = f"sqlite:///{root / uri.removeprefix('sqlite:///')}"
    guard = Guard(f"MLflow ({uri}) is not available", OTHERWISE)
    try:
        _import_mlflow()
    except Exception as problem:
        guard.close(problem)
        return NullTracker()
    seconds = OPENING_LOCAL if local else OPENING_SERVER
    tracker = guard(lambda: _open(uri, root, data_name, guard, local=local), seconds)
    return tracker or NullTracker()


def _import_mlflow() -> None:
    """Import it without telemetry, chatter, or minutes of retries unless the user wants those."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _open(uri: str, root: Path, data_name: str, guard: Guard, *, local: bool) -> Tracker:
    from mlflow import MlflowClient

    name = f"rcan-{data_name}"
    with _alone(root / ".rcan" / "mlflow.lock") if local else contextlib.nullcontext():
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            # MLflow would put the files under the current folder, for good.
            files = (root / "mlartifacts" / name).as_uri() if local else None
            experiment = client.get_experiment(client.create_experiment(name, files))
        elif experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        for key, value in experiment_tags(experiment.experiment_id, data_name).items():
            if experiment.tags.get(key) != value:
                client.set_experiment_tag(experiment.experiment_id, key, value)
    return Tracker(client, experiment.experiment_id, guard, local=local)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time pass: two that create the same database at once both lose it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
