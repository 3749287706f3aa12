"""What every stage does around its own work: settings before anything else, errors in one line."""

import sys
from collections.abc import Callable
from pathlib import Path

from rcan.config import PipelineSettings, load_settings
from rcan.errors import UserError

PROCESSED = Path("data/processed")
TOKENIZER = Path("data/tokenizer.json")
RUN = Path("runs/main")
EVALUATION = Path("evaluation/main")
REPORTS = Path("reports")


def run(stage: Callable[[PipelineSettings], None]) -> None:
    """Run a stage with the validated settings of params.yaml; bad input ends it with one line."""
    try:
        stage(load_settings())
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:  # a full disk, a read-only folder, a vanished mount
        place = f" ({error.filename})" if error.filename else ""
        sys.exit(f"error: {error.strerror or error}{place}; mend it and run the same command again")
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        sys.exit(
            "error: the GPU has too little memory: lower train.batch_size or generate.batch_size, "
            "or use another GPU; training goes on from its last epoch"
        )
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
