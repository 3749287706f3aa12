"""One run of the tracker: its curves, scores, files and data, each logged once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rcan.project import git_state
from rcan.tracking.null import NullRun

if TYPE_CHECKING:
    from rcan.tracking.tracker import Tracker


class Run(NullRun):
    """A run that exists in MLflow. Nothing here raises, see `Tracker`."""

    def __init__(
        self, tracker: Tracker, run_id: str, status: str, tags: Mapping[str, str], *, new: bool
    ):
        self.id = run_id
        self._tracker = tracker
        self._status = status
        self._tags = tags
        self._new = new
        self._steps: dict[str, set[int]] = {}  # metric -> the epochs it is logged for

    def start(self) -> None:
        """Mark it running, and note where it comes from: the first start's word stands."""
        self._tracker.send(self._start)

    def _start(self) -> None:
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
        self._tracker.log_batch(self.id, tags={k: v for k, v in origin.items() if v})
        if git["dirty"]:
            client.log_text(self.id, git["diff"], "git.diff")

    def end(self, status: str) -> None:
        """Close it as FINISHED, FAILED or KILLED; one that is so already keeps its duration."""
        if self._status != status:
            self._tracker.send(self._tracker.client.set_terminated, self.id, status)
            self._status = status

    def log_epochs(self, epochs: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Several epochs at once, as `log_epoch`."""
        self._tracker.send(self._log_epochs, list(epochs))

    def _log_epochs(self, epochs: list[tuple[int, Mapping[str, float]]]) -> None:
        metrics = []
        for epoch, values in epochs:
            for name, value in values.items():
                steps = self._logged_steps(name)
                if epoch not in steps:
                    steps.add(epoch)
                    metrics.append((name, value, epoch))
        self._tracker.log_batch(self.id, metrics=metrics)

    def _logged_steps(self, name: str) -> set[int]:
        if name not in self._steps:
            history = [] if self._new else self._tracker.client.get_metric_history(self.id, name)
            self._steps[name] = {metric.step for metric in history}
        return self._steps[name]

    def log_scores(self, scores: Mapping[str, float]) -> None:
        """Final scores, to four decimals (the interface prints all there are)."""
        self._tracker.send(self._log_scores, scores)

    def _log_scores(self, scores: Mapping[str, float]) -> None:
        logged = self._tracker.client.get_run(self.id).data.metrics
        rounded = {name: round(float(score), 4) for name, score in scores.items()}
        changed = [(name, score, 0) for name, score in rounded.items() if logged.get(name) != score]
        self._tracker.log_batch(self.id, metrics=changed)

    def log_files(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Copies of files, under `folder` of the run's artifacts; a copy there is replaced."""
        for path in paths:
            self._tracker.send(self._tracker.client.log_artifact, self.id, str(path), folder)

    def log_dataset(self, name: str, digest: str, source: str) -> None:
        """Which data it was trained on; `digest` of at most 36 characters."""
        self._tracker.send(self._tracker.log_dataset, self.id, name, digest, source)
