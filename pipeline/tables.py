"""Stage tables: every cell beside the paper, as tables, figures and one page."""

from pathlib import Path

from pipeline.stage import EVALUATIONS, PROCESSED, REPORTS, RUNS, run
from rcan.ablation.cells import CELLS, load_cells
from rcan.ablation.plan import PLAN
from rcan.command import command, seeds
from rcan.config import PipelineSettings
from rcan.project import git_output, git_state, project_root
from rcan.reporting.cells.page import Places, write_ablations
from rcan.reporting.cells.study import Settings, read_ablations
from rcan.tracking import run_folders, sync

PLACES = Places(
    tables=REPORTS / "ablations",
    examples=REPORTS / "cases" / "examples",
    pointing=REPORTS / "cases" / "fig4.csv",
    page=REPORTS / "index.html",
    ledger=Path("docs/readings.md"),
)


def main(settings: PipelineSettings) -> None:
    ablations = read_ablations(
        plan=PLAN,
        runs=RUNS,
        evaluations=EVALUATIONS,
        processed=PROCESSED,
        main=settings.used(),
        cells=load_cells(CELLS),
        settings=Settings(
            scale=settings.scale,
            resamples=settings.eval.resamples,
            seed=settings.eval.seed,
            commit=_commit(),
            command=command(),
            seeds=seeds(),
        ),
    )
    write_ablations(ablations, PLACES)
    runs = [run for model in ablations.models.values() for run in model.runs]
    done = sum(run.result is not None for run in runs)
    print(f"{done} of {len(runs)} runs are in {PLACES.tables} and {PLACES.page}")
    root = project_root()
    if held := sync(root=root, folders=run_folders(Path.cwd())):
        print(f"{held} runs are in MLflow; `rcan ui` shows them")


def _commit() -> str:
    """That of the code, and whether it is edited; edited settings are told by the commands."""
    code = git_output("diff", "HEAD", "--name-only", "--", "rcan", "pipeline")
    return f"{(git_state()['commit'] or 'unknown')[:10]}{', edited' if code else ''}"


if __name__ == "__main__":
    run(main)
