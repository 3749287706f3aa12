"""MLflow's database: its address, how it is made, and writing to it. Imports mlflow, late."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rcan.files import replacing

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 100  # MLflow takes no more parameters or tags at once, and 1,000 metrics
SQLITE = "sqlite:///"


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
    return f"{SQLITE}{in_plain_letters(root.resolve())}/{path}"


def uri_of(database: Path) -> str:
    """What MLflow and SQLAlchemy call this file, whatever the letters of its folder."""
    return f"{SQLITE}{in_plain_letters(database.parent.resolve())}/{database.name}"


def database_of(uri: str) -> Path:
    """The file of a database that `store_uri` names, without the options after a `?`."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


@cache
def in_plain_letters(root: Path) -> Path:
    """`root`, by the system's number of the open folder where its name means more in a URI.

    Quoted it will not do: of `%3F` SQLAlchemy makes `?`, and MLflow a folder of that name.
    """
    if not {"%", "?"} & set(str(root)):
        return root
    numbered = Path(f"/proc/self/fd/{os.open(root, os.O_RDONLY)}")  # open as long as this process
    return numbered if numbered.is_dir() else root


def import_mlflow() -> None:
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


def create_database(uri: str) -> None:
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
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time pass: two that create the same database at once both lose it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def log_batch(
    client: MlflowClient,
    run_id: str,
    *,
    metrics: Sequence[tuple[str, float, int, int]] = (),
    params: Mapping[str, str] = MappingProxyType({}),
    tags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Metrics as (name, value, step, time), parameters and tags, in as few requests as may be."""
    from mlflow.entities import Metric, Param, RunTag

    all_metrics = [Metric(name, float(value), when, step) for name, value, step, when in metrics]
    all_params = [Param(name, value) for name, value in params.items()]
    all_tags = [RunTag(name, value) for name, value in tags.items()]
    for i in range(0, max(len(all_metrics), len(all_params), len(all_tags)), BATCH):
        part = slice(i, i + BATCH)
        client.log_batch(run_id, all_metrics[part], all_params[part], all_tags[part])


def log_dataset(client: MlflowClient, run_id: str, name: str, digest: str, source: str) -> None:
    """The data set that a run was trained on."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name=name, digest=digest, source_type="local", source=source)
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(dataset, [context])])
