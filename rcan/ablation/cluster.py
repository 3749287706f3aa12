"""Cells as jobs of a cluster's scheduler, by submitit: a job trains one cell and keeps its state.

All that jobs and DVC share is `.rcan/checkpoints` on a disk that every node sees. DVC itself runs
once, afterwards: it finds each cell at its last epoch and only writes what comes of it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rcan.errors import UserError

if TYPE_CHECKING:
    from submitit import Job
    from submitit.helpers import DelayedSubmission

JOBS = Path(".rcan/jobs")  # scripts and logs of the scheduler, below the project
CLUSTERS = ("slurm", "local")


class TrainCell:
    """What a job runs: training that goes on from the last epoch, wherever it was stopped."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root

    def __call__(self) -> None:
        """Train; raises `CalledProcessError` if that fails: the job's log has the reason."""
        command = [sys.executable, "-m", "pipeline.train", self.name, "--only-state"]
        subprocess.run(command, cwd=self.root, check=True)

    def checkpoint(self) -> "DelayedSubmission":
        """Asked for by submitit when time runs out or the job is pre-empted: queue it again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(
    names: Sequence[str], root: Path, *, cluster: str, minutes: int, options: Mapping[str, Any]
) -> "dict[str, Job[None]]":
    """Cell -> its job, all in one array. `options` are submitit's own, e.g. `slurm_partition`.

    Raises:
        UserError: submitit is not installed, there is no such cluster here, or it refuses.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("submitit is not installed: pip install 'rcan[cluster]'") from None
    folder = root / JOBS / "%j"
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(name="rcan", timeout_min=minutes, **options)
        with executor.batch():
            jobs = [executor.submit(TrainCell(name, root)) for name in names]
    except (RuntimeError, ValueError, NameError, OSError, submitit.core.utils.FailedJobError) as e:
        raise UserError(
            f"{cluster} takes no jobs here ({e}): run this where sbatch works, or --cluster local"
        ) from None
    return dict(zip(names, jobs, strict=True))


def wait(jobs: "Mapping[str, Job[None]]") -> list[str]:
    """Wait for all jobs; the names of those that failed, each with the log that says why."""
    failed = []
    for name, job in jobs.items():
        if job.exception() is not None:
            failed.append(f"{name} ({os.path.relpath(job.paths.stderr)})")
    return failed
