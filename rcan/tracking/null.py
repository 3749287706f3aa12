"""What stands in for a tracker that could not be opened: it takes everything and does nothing."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


class NullRun:
    """A run that records nothing."""

    def start(self) -> None:
        """Mark it running."""

    def end(self, status: str) -> None:
        """Close it as FINISHED, FAILED or KILLED."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record one epoch's curves; what is recorded for that epoch already stays."""
        self.log_epochs([(epoch, metrics)])

    def log_epochs(self, epochs: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Record several epochs at once, as `log_epoch`."""

    def log_scores(self, scores: Mapping[str, float]) -> None:
        """Record final scores, to four decimals (the interface prints all there are)."""

    def log_files(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Keep copies of files, under `folder` of the run's artifacts; a copy there is replaced."""

    def log_dataset(self, name: str, digest: str, source: str) -> None:
        """Record which data it was trained on; `digest` of at most 36 characters."""


class NullTracker:
    """A tracker without a store behind it."""

    @contextlib.contextmanager
    def run(
        self, *, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> Iterator[NullRun]:
        """A run that records nothing."""
        yield NullRun()

    def attach(
        self, *, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> None:
        """No run."""
        return None
