"""Runs in MLflow, for people to compare: what a run was, how it went, what came out of it.

The files under runs/, evaluation/ and reports/ are the result; MLflow is a view of them. So a
tracker is written to in the background; one that is down, slow or locked never stops or fails a
run, and `sync` rebuilds from the files whatever it missed. mlflow itself is imported in
`database.py` and `tracker.py` alone, and only once one is opened.
"""

from rcan.dotted import flatten
from rcan.tracking.folders import RunFolders, run_folders
from rcan.tracking.metrics import epoch_metrics, score_metrics
from rcan.tracking.published_runs import in_use, published_store
from rcan.tracking.restore import sync
from rcan.tracking.tracker import Run, Tracker, open_tracker
from rcan.tracking.ui import free_port, serve

__all__ = [
    "Run",
    "RunFolders",
    "Tracker",
    "epoch_metrics",
    "flatten",
    "free_port",
    "in_use",
    "open_tracker",
    "published_store",
    "run_folders",
    "score_metrics",
    "serve",
    "sync",
]
