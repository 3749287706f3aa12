"""What every stage does around its own work: settings before anything else, errors in one line."""

import errno
import signal
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


class Stopped(KeyboardInterrupt):
    """SIGTERM came: as Ctrl-C, from a scheduler or a shutdown."""


def run(stage: Callable[[PipelineSettings], None]) -> None:
    """Run a stage with the validated settings of params.yaml; what ends it early is one line."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        stage(load_settings())
    except UserError as error:
        sys.exit(f"error: {error}")
    except (OSError, MemoryError, RuntimeError) as error:
        line = _what_to_do(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")
    except Stopped:
        print("stopped by SIGTERM; the same command goes on from here", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it wherever it is
    raise Stopped


def _what_to_do(error: Exception) -> str | None:
    """What happened to the machine, and the remedy; None where it is nothing of the kind."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return (
            "the GPU has too little memory: lower train.batch_size or generate.batch_size, "
            "or use another GPU; training goes on from its last epoch"
        )
    if _is_lack_of_memory(error):
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        return (
            f"too little memory ({reason}): free some, or lower train.batch_size, "
            "generate.batch_size or data.image_size; training goes on from its last epoch"
        )
    if isinstance(error, OSError):  # a full disk, a read-only folder, a vanished mount
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}; mend it and run the same command again"
    return None


def _is_lack_of_memory(error: Exception) -> bool:
    # Python and NumPy, the system, PyTorch and its parts: each says it in its own way.
    said = ("an't allocate memory", "annot allocate memory", "bad_alloc", "start new thread")
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or any(words in str(error) for words in said)
    )
