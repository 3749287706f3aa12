"""Stage report: tables and figures of the run, and MLflow brought up to date."""

from pipeline.stage import EVALUATION, PROCESSED, REPORTS, RUN, run
from rcan.config import PipelineSettings
from rcan.project import command, project_root
from rcan.reporting.page import write_report
from rcan.tracking import RunFolders, sync


def main(_: PipelineSettings) -> None:
    write_report(
        evaluation=EVALUATION, run=RUN, processed=PROCESSED, out=REPORTS, command=command()
    )
    sync(
        root=project_root(),
        folders=[RunFolders(run=RUN, evaluation=EVALUATION, reports=REPORTS)],
    )
    print(f"{REPORTS / 'results.md'} is written; `mlflow ui` shows the run")


if __name__ == "__main__":
    run(main)
