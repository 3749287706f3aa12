"""Stage plan: the settings of every cell, and which cells are one and the same training."""

from pathlib import Path

from pipeline.stage import run
from rcan.ablation.cells import CELLS
from rcan.ablation.plan import PLAN, plan_files, write_plan
from rcan.config import PipelineSettings

PARAMS = Path("params.yaml")


def main(_: PipelineSettings) -> None:
    planned = plan_files(PARAMS, CELLS)
    write_plan(planned, PLAN)
    pointers = sum("same_as" in content for content in planned.values())
    print(
        f"{len(planned)} cells, {len(planned) - pointers} to be trained; {pointers} equal another"
    )


if __name__ == "__main__":
    run(main)
