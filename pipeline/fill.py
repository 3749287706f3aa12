"""Stage fill: train all cells that lack it, side by side, before their stages run one by one.

It leaves each cell's state where stage train of that cell finds it with nothing left to do.
"""

import sys
from pathlib import Path

from pipeline.stage import PROCESSED, RUNS, TOKENIZER, run
from pipeline.train import ONLY_STATE
from rcan.ablation.fill import places, untrained
from rcan.ablation.side_by_side import Job, run_side_by_side
from rcan.config import PipelineSettings
from rcan.files import write_text
from rcan.project import project_root

FILLED = Path("ablations/filled.txt")


def main(settings: PipelineSettings) -> None:
    root = project_root()
    jobs = [
        Job(
            name=name,
            command=[sys.executable, "-m", "pipeline.train", name, ONLY_STATE],
            log=root / ".rcan" / "logs" / f"{name}.txt",
        )
        for name in untrained(
            settings, root=root, runs=RUNS, processed=PROCESSED, tokenizer=TOKENIZER
        )
    ]
    if jobs:
        at_once = places(settings)
        print(f"{len(jobs)} cells to train, {len(at_once)} at once", flush=True)
        run_side_by_side(jobs, at_once)
    # Always the same: the stages of the cells wait for it, and none runs again because of it.
    write_text(FILLED, "every cell is trained\n")


if __name__ == "__main__":
    run(main)
