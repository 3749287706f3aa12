"""Stage train: train the model, choosing the epoch on the validation split.

`python -m pipeline.train` trains the main run, `... rve_cgm-1` a planned cell. With `--only-state`
the trained state stays in .rcan/checkpoints for the stage to find.
"""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.stage import FLOORS, PROCESSED, RUNS, TOKENIZER, run
from rcan.ablation.plan import MAIN, leave_out, pass_on, planned_settings, same_as, why_not
from rcan.config import PipelineSettings
from rcan.project import project_root

if TYPE_CHECKING:
    from rcan.training.loop import Log

ONLY_STATE = "--only-state"


def main(settings: PipelineSettings) -> None:
    name = next((a for a in sys.argv[1:] if a != ONLY_STATE), MAIN)
    out = None if ONLY_STATE in sys.argv else RUNS / name
    root = project_root()
    if name != MAIN:
        if (of := same_as(name)) != name:
            if out:
                pass_on(out, of)
            print(f"{name} equals {of}: nothing to train")
            return
        if why := why_not(name):
            if out:
                leave_out(out, why)
            print(f"{name} is not run: {why}")
            return
        from rcan.ablation import finished

        settings = planned_settings(name, settings).with_weights_under(root)
        if out and finished.take(root, finished.of_training(settings, PROCESSED, TOKENIZER), out):
            print(f"{name} is trained already, by stage cells")
            return
    train_run(settings.with_weights_under(root), out)


def train_run(settings: PipelineSettings, out: Path | None) -> None:
    """Train, each epoch's numbers in MLflow, and write the run's folder `out`; None: the state is
    all. The path of pretrained weights is resolved."""
    from rcan.tracking import epoch_metrics, flatten, open_tracker
    from rcan.training.train import train

    root, base = project_root(), _base(settings)
    with ExitStack() as open_run:

        def log_to(key: str) -> "Log":
            tracker = open_tracker(root=root, data_name=settings.data.name)
            tracked = open_run.enter_context(
                tracker.run(
                    key=key,
                    name=settings.name,
                    params=flatten(settings.used()),
                    tags={"seed": settings.train.seed},
                    with_diff=not settings.privacy.restricted,
                )
            )
            return lambda epoch, row: tracked.log_epoch(epoch, epoch_metrics(row))

        train(
            settings, processed=PROCESSED, tokenizer=TOKENIZER, floors=FLOORS, out=out, root=root,
            log_to=log_to, base=base, restricted=settings.privacy.restricted,
        )  # fmt: skip


def _base(settings: PipelineSettings) -> Path | None:
    """The best weights of the same training without a curriculum, which is done first if no cell
    has; None: there is no curriculum."""
    if settings.curriculum.name == "none":
        return None
    from rcan.ablation import finished
    from rcan.training.key import best_weights

    root, plain = project_root(), settings.base()
    kept = finished.place(root, finished.of_training(plain, PROCESSED, TOKENIZER))
    find = partial(
        best_weights, plain, PROCESSED, TOKENIZER, root=root, runs=[kept, *sorted(RUNS.glob("*"))]
    )
    if find() is None:
        print(f"{settings.name} is trained after {plain.name}, which is trained first")
        train_run(plain, None)
    return find()


if __name__ == "__main__":
    run(main)
