"""Stage plan: the settings that are trained with, a digest of the code that they run, and which
cells are one and the same training.

`python -m pipeline.plan` plans all cells, `... main` the main run.
"""

import sys
from pathlib import Path

from pipeline.stage import MAIN_PLAN, run
from rcan.ablation.cells import CELLS
from rcan.ablation.plan import MAIN, PLAN, plan_files, write_main_plan, write_plan
from rcan.config import PipelineSettings

PARAMS = Path("params.yaml")


def main(settings: PipelineSettings) -> None:
    if MAIN in sys.argv:
        write_main_plan(settings, MAIN_PLAN)
        return
    planned = plan_files(PARAMS, CELLS)
    write_plan(planned, PLAN)
    pointers = sum("same_as" in content for content in planned.values())
    print(
        f"{len(planned)} cells, {len(planned) - pointers} to be trained; {pointers} equal another"
    )


if __name__ == "__main__":
    run(main)
