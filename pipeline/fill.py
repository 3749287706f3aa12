"""Stage fill: train and score all cells that lack it, side by side, before their stages run one
by one and find it done.
"""

import sys
from pathlib import Path

from pipeline import cell
from pipeline.stage import EVALUATIONS, FLOORS, PROCESSED, RUNS, TOKENIZER, run
from rcan.ablation.fill import places, unfinished
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
            command=[sys.executable, "-m", cell.__name__, name],
            log=root / ".rcan" / "logs" / f"{name}.txt",
        )
        for name in unfinished(
            settings,
            root=root,
            runs=RUNS,
            evaluations=EVALUATIONS,
            processed=PROCESSED,
            tokenizer=TOKENIZER,
            floors=FLOORS,
        )
    ]
    if jobs:
        at_once = places(settings)
        print(f"{len(jobs)} cells to train or score, {len(at_once)} at once", flush=True)
        run_side_by_side(jobs, at_once)
    # Always the same: the stages of the cells wait for it, and none runs again because of it.
    write_text(FILLED, "every cell is trained and scored\n")


if __name__ == "__main__":
    run(main)
