"""Stage report: tables and figures of the run, and MLflow brought up to date."""

from pipeline.stage import EVALUATION, PROCESSED, REPORTS, RUN, run
from rcan.config import Settings
from rcan.project import project_root
from rcan.reporting.page import write_report
from rcan.tracking import RunFolders, sync


def main(settings: Settings) -> None:
    command = "dvc exp run"
    if settings.data.name != "demo":
        command += f" -S data.name={settings.data.name}"
    if settings.scale != "full":
        command += f" -S scale={settings.scale}"
    write_report(evaluation=EVALUATION, run=RUN, processed=PROCESSED, out=REPORTS, command=command)
    folders = RunFolders(run=RUN, evaluation=EVALUATION, reports=REPORTS)
    sync(root=project_root(), folders=[folders])
    print(f"{REPORTS / 'results.md'} is written; `mlflow ui` shows the run")


if __name__ == "__main__":
    run(main)
