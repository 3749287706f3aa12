"""Stage plan: the settings that are trained with, a digest of the code that they run, and which
cells are one and the same training.

`python -m pipeline.plan` plans all cells, `... main` the main run.
"""

import sys
from pathlib import Path

from pipeline.stage import MAIN_PLAN, PROCESSED, run
from rcan.ablation.cells import CELLS
from rcan.ablation.plan import MAIN, NOT_RUN, PLAN, plan_files, write_main_plan, write_plan
from rcan.config import PipelineSettings
from rcan.data.labels import are_labelled
from rcan.data.store import open_split

PARAMS = Path("params.yaml")


def main(settings: PipelineSettings) -> None:
    if MAIN in sys.argv:
        write_main_plan(settings, MAIN_PLAN)
        return
    labelled = are_labelled(open_split(PROCESSED, "train").studies)
    planned = plan_files(PARAMS, CELLS, labelled)
    write_plan(planned, PLAN)
    pointers = sum("same_as" in content for content in planned.values())
    left_out = {name: content[NOT_RUN] for name, content in planned.items() if NOT_RUN in content}
    left = len(planned) - pointers - len(left_out)
    print(f"{len(planned)} cells, {left} to be trained; {pointers} equal another")
    for name, why in left_out.items():
        print(f"{name} is not run: {why}")


if __name__ == "__main__":
    run(main)
