"""Stage cells: train and score all cells that lack it, side by side, before their stages run one
by one and find it done.

RCAN_CELLS="rve_cgm-1 rcan-2" takes these alone; the stages of others do their own work, in turn.
"""

import os
import sys
from pathlib import Path

from pipeline import cell
from pipeline.stage import EVALUATIONS, FLOORS, PROCESSED, RUNS, TOKENIZER, run
from rcan.ablation import finished
from rcan.ablation.jobs import Job, bases, places, run_side_by_side, unfinished
from rcan.ablation.plan import same_as
from rcan.config import PipelineSettings
from rcan.files import write_text
from rcan.project import project_root

DONE = Path("ablations/done.txt")
ONLY = "RCAN_CELLS"


def main(settings: PipelineSettings) -> None:
    root = project_root()
    only = {same_as(name) for name in os.environ.get(ONLY, "").replace(",", " ").split()}
    finished.forget_old(root)
    names = unfinished(
        settings, root=root, runs=RUNS, evaluations=EVALUATIONS, processed=PROCESSED,
        tokenizer=TOKENIZER, floors=FLOORS,
    )  # fmt: skip
    names = [name for name in names if not only or name in only]
    first = bases(names, settings)
    jobs = [
        Job(
            name=name,
            command=[sys.executable, "-m", cell.__name__, name],
            log=root / ".rcan" / "logs" / f"{name}.txt",
            after=first.get(name),
        )
        for name in names
    ]
    if jobs:
        at_once = places(settings)
        print(f"{len(jobs)} cells to train or score, {len(at_once)} at once", flush=True)
        run_side_by_side(jobs, at_once)
    # Always the same: the stages of the cells wait for it, and none runs again because of it.
    write_text(DONE, "every cell is trained and scored\n")


if __name__ == "__main__":
    run(main)
