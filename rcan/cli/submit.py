"""`rcan submit`: cells to a cluster's scheduler."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from rcan.cli.options import Json, Quiet, be_quiet, print_json, remark


def submit(
    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CELL]...", help="Cells such as rve_cgm-1; without any, all untrained ones."
        ),
    ] = None,
    cluster: Annotated[str, typer.Option(help="slurm; or local: jobs on this machine.")] = "slurm",
    minutes: Annotated[
        int, typer.Option(min=1, help="Time limit of a job; then it is queued again.")
    ] = 720,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each job.")] = 1,
    cpus: Annotated[int, typer.Option(min=1, help="CPUs of each job.")] = 4,
    partition: Annotated[str | None, typer.Option(help="Partition of SLURM.")] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Another option of sbatch, e.g. account=lab; may be repeated."
        ),
    ] = None,
    setup: Annotated[
        list[str] | None, typer.Option(help="Shell line before training, e.g. 'module load cuda'.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all jobs have ended.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train cells as jobs of a cluster. Afterwards run `dvc repro ablations/dvc.yaml` once."""
    from rcan.ablation import cluster as scheduler
    from rcan.ablation.jobs import bases, untrained
    from rcan.ablation.plan import planned_settings
    from rcan.config import load_settings
    from rcan.errors import UserError
    from rcan.project import project_root

    be_quiet(quiet)
    if cluster not in scheduler.CLUSTERS:
        raise UserError(
            f"--cluster is {cluster!r}; expected {' or '.join(scheduler.CLUSTERS)}: other "
            "schedulers run `python -m pipeline.train CELL --only-state`"
        )
    root = project_root()
    os.chdir(root)
    settings = load_settings()
    for name in cells or []:
        planned_settings(name, settings)  # an unknown one is told before any is submitted
    names = untrained(
        settings,
        root=root,
        runs=Path("runs"),
        processed=Path("data/processed"),
        tokenizer=Path("data/tokenizer.json"),
    )
    names = [name for name in names if not cells or name in cells]
    later = bases(names, settings)
    names = [name for name in names if name not in later]
    if not names:
        if json:
            print_json({})
        remark("every cell is trained: dvc repro ablations/dvc.yaml")
        return
    options: dict[str, Any] = {"gpus_per_node": gpus, "cpus_per_task": cpus}
    if partition:
        options["slurm_partition"] = partition
    if slurm:
        more = dict(entry.partition("=")[::2] for entry in slurm)
        if not all(more.values()):
            raise UserError("expected --slurm KEY=VALUE, e.g. --slurm account=lab")
        options["slurm_additional_parameters"] = more
    if setup:
        options[f"{cluster}_setup"] = setup
    jobs = scheduler.submit(names, root, cluster=cluster, minutes=minutes, options=options)
    if json:
        print_json({name: job.job_id for name, job in jobs.items()})
    else:
        print("\n".join(f"{job.job_id}\t{name}" for name, job in jobs.items()), flush=True)
    remark(f"{len(jobs)} jobs; their logs: {scheduler.JOBS}/; then: dvc repro ablations/dvc.yaml")
    for name, base in later.items():
        remark(f"{name} is not submitted: it needs {base}; submit it once that is trained")
    if wait and (failed := scheduler.wait(jobs)):
        raise UserError(
            f"{len(failed)} of {len(jobs)} failed: {', '.join(failed)}; mend it and submit again: "
            "what is done is kept"
        )
