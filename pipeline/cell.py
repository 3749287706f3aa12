"""A cell trained and scored ahead of its stages, which then only copy: a job of stage cells.

`python -m pipeline.cell rve_cgm-1`: as stage cells calls it, and as stage train trains.
"""

import sys
from functools import partial

from pipeline.evaluate import forget_state, write_evaluation
from pipeline.stage import FLOORS, PROCESSED, RUNS, TOKENIZER, run
from pipeline.train import train_run
from rcan.ablation.plan import MAIN, planned_settings, same_as
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.project import project_root


def main(settings: PipelineSettings) -> None:
    from rcan.ablation import finished
    from rcan.ablation.jobs import trained_folder

    name, root = sys.argv[1], project_root()
    if (of := same_as(name)) != name:
        first = "`dvc repro`" if of == MAIN else f"`python -m {__spec__.name} {of}`"
        raise UserError(f"{name} equals {of} and has no training of its own: run {first}")
    own = planned_settings(name, settings).with_weights_under(root)
    inputs = {"processed": PROCESSED, "tokenizer": TOKENIZER}
    folder = trained_folder(own, root=root, run=RUNS / name, **inputs)
    if folder is None:
        digest = finished.of_training(own, **inputs)
        if not finished.make(root, digest, partial(train_run, own)):
            return
        folder = finished.place(root, digest)
    forget_state(folder)
    digest = finished.of_evaluation(own, folder, floors=FLOORS, **inputs)
    if not finished.is_ready(root, digest):
        finished.make(root, digest, partial(write_evaluation, settings, folder))


if __name__ == "__main__":
    run(main)
