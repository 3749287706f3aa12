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
        sys.exit(f"error: {error.strerror or error}{place}; nothing half-written was kept")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
