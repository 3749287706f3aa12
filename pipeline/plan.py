"""Stage plan: the settings of every cell, and which cells are one and the same training."""

from pathlib import Path

from pipeline.stage import run
from rcan.ablation.cells import load_cells
from rcan.ablation.plan import PLAN, plan, write_plan
from rcan.config import PipelineSettings
from rcan.reading import parse_yaml, read_text

CELLS = Path("ablations/cells.yaml")


def main(_: PipelineSettings) -> None:
    params = Path("params.yaml")
    planned = plan(parse_yaml(read_text(params, "settings", "mend it")), load_cells(CELLS))
    write_plan(planned, PLAN)
    pointers = sum("same_as" in content for content in planned.values())
    print(
        f"{len(planned)} cells, {len(planned) - pointers} to be trained; {pointers} equal another"
    )


if __name__ == "__main__":
    run(main)
