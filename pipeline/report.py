"""Stage report: tables and figures of the run, and MLflow brought up to date."""

from pipeline.stage import EVALUATION, PROCESSED, REPORTS, RUN, run
from rcan.command import command, other_than_committed
from rcan.config import PipelineSettings
from rcan.project import project_root
from rcan.reporting.report import write_report
from rcan.tracking import RunFolders, sync


def main(_: PipelineSettings) -> None:
    write_report(
        evaluation=EVALUATION, run=RUN, processed=PROCESSED, out=REPORTS, command=command()
    )
    print(f"{REPORTS / 'results.md'} is written")
    if told := other_than_committed(REPORTS / "metrics.json"):
        print(told)
    folders = [RunFolders(run=RUN, evaluation=EVALUATION, reports=REPORTS)]
    if sync(root=project_root(), folders=folders):
        print("the run is in MLflow; `rcan ui` shows it")


if __name__ == "__main__":
    run(main)
