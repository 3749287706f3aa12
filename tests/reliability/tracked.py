"""A tiny training with its tracker, as stage train runs it, and what the tracker then holds."""

import csv
import json
import shutil
import sqlite3
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import torch
from stages import make

from pipeline import train as stage
from rcan.config import load_settings
from rcan.tracking import RunFolders, epoch_metrics, guard, sync
from rcan.training import loop

ALLOWED = 3.0  # seconds that the tracker may take besides its one wait, on a busy machine


class Training:
    """Trainings in a folder of their own, in this process."""

    def __init__(self, folder: Path, data: Path, monkeypatch):
        self.folder = self.root = make(folder)
        self.out = folder / "runs/main"
        shutil.copytree(data, folder / "data", dirs_exist_ok=True)
        self._patch = monkeypatch
        self.lost = 0.0  # seconds that training stood still for its tracker
        self._given_up: list[threading.Event] = []

    def run(self, stop_after: int | None = None) -> None:
        """Train to the end, or be interrupted after an epoch."""
        torch.set_num_threads(1)
        epoch_line = loop._epoch_line

        def interrupted(epoch: int, *rest: object) -> str:
            if epoch == stop_after:
                raise KeyboardInterrupt
            return epoch_line(epoch, *rest)

        with self._patch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["train"])  # the main run, whatever pytest was given
            patch.setattr(loop, "_epoch_line", interrupted)
            for name in ("send", "finish"):
                patch.setattr(guard.Guard, name, self._timed(getattr(guard.Guard, name)))
            patch.setattr(guard.Guard, "_work", self._noted(guard.Guard._work))
            try:
                stage.main(load_settings())
            except KeyboardInterrupt:
                assert stop_after

    def _timed(self, function):
        def timed(*arguments, **settings):
            start = time.monotonic()
            try:
                return function(*arguments, **settings)
            finally:
                self.lost += time.monotonic() - start

        return timed

    def _noted(self, work):
        def noted(own: guard.Guard, done: threading.Event) -> None:
            self._given_up.append(done)
            work(own, done)

        return noted

    def settle(self) -> None:
        """Wait for what the tracker still does although training gave it up: it would have ended
        with the process, while here it goes on beside what is run next."""
        for done in self._given_up:
            assert done.wait(60)

    def sync(self) -> int:
        """What `rcan sync` does; the number of runs in the tracker."""
        return sync(root=self.root, folders=[RunFolders(run=self.out)])

    def files(self) -> dict[str, bytes]:
        """What the training left."""
        return {path.name: path.read_bytes() for path in self.out.iterdir()}

    def require_every_epoch_once(self, database: Path) -> int:
        """Check that the tracker holds the run, finished, with all of its curves; the epochs."""
        with (self.out / "history.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        wanted = Counter(
            (name, int(row["epoch"]), value)
            for row in rows
            for name, value in epoch_metrics(row).items()
        )
        key = json.loads((self.out / "best.json").read_text(encoding="utf-8"))["key"]
        [(run, status)] = _rows(
            database,
            "SELECT runs.run_uuid, status FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
            f"WHERE tags.key = 'rcan.key' AND tags.value = '{key}' AND lifecycle_stage = 'active'",
        )
        assert status == "FINISHED"
        points = _rows(database, f"SELECT key, step, value FROM metrics WHERE run_uuid = '{run}'")
        found = Counter(point for point in points if point[0] != "train/images_per_second")
        assert found == wanted
        speeds = Counter(step for name, step, _ in points if name == "train/images_per_second")
        assert set(speeds.values()) <= {1}  # of the moment: what was missed is not made up
        return len(rows)


def _rows(database: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
