"""The tracker: one MLflow experiment a data set, one run a configuration. Imports mlflow, late."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rcan.project import git_state
from rcan.tracking.database import (
    SQLITE,
    create_database,
    import_mlflow,
    in_plain_letters,
    log_batch,
    log_dataset,
    one_at_a_time,
    store_uri,
)
from rcan.tracking.experiment import experiment_tags
from rcan.tracking.guard import Guard

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

AT_THE_END = 10.0  # seconds that a run may wait for its tracker, once, when its work is done
EXPERIMENT = "rcan-"
OTHERWISE = "The work goes on without it; `rcan sync` catches up later."
EPOCH_TIME = 1000  # ms: an epoch is a second on the time axis of a curve


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
        told = uri.replace(str(in_plain_letters(root)), str(root))
        self.guard = guard or Guard(f"MLflow ({told}) is not available", OTHERWISE)
        self._uri, self._root, self._name, self._present = uri, root, name, present
        try:
            import_mlflow()
        except Exception as problem:
            self.guard.close(problem)
        self.guard.send(self._open)

    def _open(self) -> None:
        from mlflow import MlflowClient

        lock = self._root / ".rcan" / "mlflow.lock"
        with one_at_a_time(lock) if self.local else contextlib.nullcontext():
            if self.local:
                create_database(self._uri)
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

    def curves(self, metric: str) -> dict[str, dict[int, float]]:
        """Key -> epoch -> the value of a metric, of every run that has it."""
        found: dict[str, dict[int, float]] = {}
        for run in self.recorded():
            if metric in run.data.metrics:
                points = self.client.get_metric_history(run.info.run_id, metric)
                key = run.data.tags["rcan.key"]
                found.setdefault(key, {}).update({point.step: point.value for point in points})
        return found


def open_tracker(*, root: Path, data_name: str) -> Tracker:
    """The experiment `rcan-<data_name>`, created where it is missing.

    It lives at MLFLOW_TRACKING_URI, or else in `root`/mlflow.db with its files in
    `root`/mlartifacts. Where it cannot be had, one line will say so.
    """
    present = partial(experiment_tags, data_name=data_name)
    return Tracker(store_uri(root), root.resolve(), EXPERIMENT + data_name, present)


class Run:
    """The run of one key. Nothing here waits or raises, see `Tracker`."""

    def __init__(
        self, tracker: Tracker, key: str, name: str, params: Mapping[str, Any],
        tags: Mapping[str, Any],
    ):  # fmt: skip
        self._tracker = tracker
        self._send = tracker.guard.send
        self._steps: dict[str, set[int]] = {}  # metric -> the epochs it is logged for
        self._diff = ""
        tags = {"rcan.key": key, **{k: str(v) for k, v in tags.items()}}
        self._send(self._attach, name, params, tags)

    def _attach(self, name: str, params: Mapping[str, Any], tags: dict[str, str]) -> None:
        client, experiment = self._tracker.client, self._tracker.experiment_id
        found = self._recorded(tags["rcan.key"])
        self._new = not found
        if self._new:
            made = client.create_run(experiment, run_name=name, tags=tags)
            # Another process may have made one meanwhile, or a request thought lost: all take the
            # same one, and one that nobody took goes.
            found = self._recorded(tags["rcan.key"]) or [made]
        known, *others = found
        for other in others:
            if not other.data.metrics:
                client.delete_run(other.info.run_id)
        self.id, self._status, self._tags = known.info.run_id, known.info.status, known.data.tags
        self._begin, self._name = known.info.start_time, known.info.run_name
        log_batch(
            self._tracker.client,
            self.id,
            params={k: str(v) for k, v in params.items() if k not in known.data.params},
            tags={k: v for k, v in tags.items() if known.data.tags.get(k) != v},
        )

    def _recorded(self, key: str) -> list[Any]:
        """MLflow's runs of a key, in an order that is the same for everybody."""
        found = self._tracker.client.search_runs(
            [self._tracker.experiment_id], f"tags.`rcan.key` = '{key}'"
        )
        return sorted(
            found, key=lambda run: (not run.data.metrics, run.info.start_time, run.info.run_id)
        )

    def rename(self, name: str) -> None:
        """Another name for people to read."""
        self._send(self._rename, name)

    def _rename(self, name: str) -> None:
        if self._name != name:
            self._tracker.client.update_run(self.id, name=name)
            self._name = name

    def start(self, *, with_diff: bool = True) -> None:
        """Mark it running, and note where it comes from: the first start's word stands."""
        self._send(self._start, with_diff)

    def _start(self, with_diff: bool) -> None:
        client = self._tracker.client
        client.update_run(self.id, status="RUNNING")
        self._status = "RUNNING"
        if "git.dirty" in self._tags:
            return
        git, stage = git_state(), os.environ.get("DVC_STAGE")
        origin = {
            "dvc.stage": stage,
            "dvc.exp": os.environ.get("DVC_EXP_NAME"),
            "git.commit": git["commit"],
            "git.dirty": "yes" if git["dirty"] else "no",
            "mlflow.source.name": stage,
            "mlflow.source.git.commit": git["commit"],
        }
        log_batch(self._tracker.client, self.id, tags={k: v for k, v in origin.items() if v})
        if with_diff:
            self._diff = git["diff"]  # a file, so it waits for the end: the curves come first

    def end(self, status: str) -> None:
        """Close it as FINISHED, FAILED or KILLED; one that is so already keeps its duration."""
        self._send(self._end, status)

    def _end(self, status: str) -> None:
        if self._status != status:
            self._tracker.client.set_terminated(self.id, status)
            self._status = status
        if self._diff:
            self._tracker.client.log_text(self.id, self._diff, "git.diff")

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """One epoch's curves; what is recorded for that epoch already stays."""
        self.log_epochs([(epoch, metrics)])

    def log_epochs(self, epochs: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Several epochs at once, as `log_epoch`."""
        self._send(self._log_epochs, list(epochs))

    def _log_epochs(self, epochs: list[tuple[int, Mapping[str, float]]]) -> None:
        # MLflow takes a point that is there already for the same one only if its time is the same.
        # So an epoch's time is no clock's: a request that was given up and is recorded later,
        # or that two processes send, adds nothing.
        metrics = []
        for epoch, values in epochs:
            for name, value in values.items():
                steps = self._logged_steps(name)
                if epoch not in steps:
                    steps.add(epoch)
                    metrics.append((name, value, epoch, self._begin + epoch * EPOCH_TIME))
        log_batch(self._tracker.client, self.id, metrics=metrics)

    def _logged_steps(self, name: str) -> set[int]:
        if name not in self._steps:
            history = [] if self._new else self._tracker.client.get_metric_history(self.id, name)
            self._steps[name] = {metric.step for metric in history}
        return self._steps[name]

    def log_scores(self, scores: Mapping[str, float]) -> None:
        """Final scores, to four decimals (the interface prints all there are)."""
        self._send(self._log_scores, scores)

    def _log_scores(self, scores: Mapping[str, float]) -> None:
        logged = self._tracker.client.get_run(self.id).data.metrics
        now = int(time.time() * 1000)
        rounded = {name: round(float(score), 4) for name, score in scores.items()}
        changed = [(n, score, 0, now) for n, score in rounded.items() if logged.get(n) != score]
        log_batch(self._tracker.client, self.id, metrics=changed)

    def log_files(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Copies of files, under `folder` of the run's artifacts; a copy there is replaced."""
        for path in paths:
            self._send(self._log_file, path, folder)

    def _log_file(self, path: Path, folder: str | None) -> None:
        self._tracker.client.log_artifact(self.id, str(path), folder)

    def log_dataset(self, name: str, digest: str, source: str) -> None:
        """Which data it was trained on; `digest` of at most 36 characters."""
        self._send(self._log_dataset, name, digest, source)

    def _log_dataset(self, name: str, digest: str, source: str) -> None:
        log_dataset(self._tracker.client, self.id, name, digest, source)
