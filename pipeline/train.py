"""Stage train: train the model, choosing the epoch on the validation split."""

from contextlib import ExitStack

from pipeline.stage import PROCESSED, RUN, TOKENIZER, run
from rcan.config import PipelineSettings
from rcan.project import project_root
from rcan.tracking import epoch_metrics, flatten, open_tracker
from rcan.training.loop import Log
from rcan.training.train import train


def main(settings: PipelineSettings) -> None:
    root = project_root()
    settings = settings.with_weights_under(root)
    with ExitStack() as open_run:

        def log_to(key: str) -> Log:
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

        train(settings, processed=PROCESSED, tokenizer=TOKENIZER, out=RUN, root=root, log_to=log_to)


if __name__ == "__main__":
    run(main)
