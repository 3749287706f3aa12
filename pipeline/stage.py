"""What every stage does around its own work: settings before anything else, errors in one line."""

import errno
import faulthandler
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from rcan.config import PipelineSettings, load_settings
from rcan.errors import NamesNobodyError, UserError, one_line
from rcan.files import write_text
from rcan.project import is_shallow, project_root
from rcan.streams import standard_streams

PROCESSED = Path("data/processed")
TOKENIZER = Path("data/tokenizer.json")
FLOORS = Path("data/floors.json")
RUNS = Path("runs")
MAIN_PLAN = Path("data/plan")
EVALUATIONS = Path("data/evaluation")
RUN = RUNS / "main"
EVALUATION = EVALUATIONS / "main"
REPORTS = Path("reports")
METEOR_PARTS = Path("data/work/meteor")  # of the project, whatever folder an experiment runs in
ERROR = Path("data/error.txt")
# Folders that hold outputs of stages: behind a link DVC refuses them, when all the work is done.
HOLDING = (Path("data"), EVALUATIONS, RUNS, REPORTS, REPORTS / "cases", Path("ablations"))

ROOM = 1_000_000  # bytes for the last words


class Stopped(KeyboardInterrupt):
    """SIGTERM came: as Ctrl-C, from a scheduler or a shutdown."""


def run(stage: Callable[[PipelineSettings], None]) -> None:
    """Run a stage with the validated settings of params.yaml; what ends it early is one line."""
    restricted, room = False, bytearray()
    try:
        room = bytearray(ROOM)  # given back for the last words where memory is lacking
        with standard_streams():
            signal.signal(signal.SIGTERM, _stop)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = _not_lost
            # Else a file that is cut while it is mapped ends a process without a word.
            faulthandler.enable(2)
            # Its thread only smooths bars, and one that finds no memory to start hangs the process.
            tqdm.monitor_interval = 0
            require_place()
            settings = load_settings()
            restricted = settings.privacy.restricted
            stage(settings)
    except Stopped:
        print("stopped by SIGTERM; the same command goes on from here", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    except Exception as error:
        del room
        line = _what_to_do(error)
        if restricted and not isinstance(error, NamesNobodyError):
            line = _withheld(error, line)
        if line is None:
            raise
        sys.exit(f"error: {one_line(line)}")


def require_place() -> None:
    """Raise `UserError` where DVC would refuse or lose what a stage makes in the current folder, or
    other code than the folder's would make it."""
    for folder in HOLDING:
        if folder.is_symlink() and not folder.resolve().is_relative_to(Path.cwd()):
            raise UserError(
                f"expected {folder} to be a folder, found a link to {folder.resolve()}, behind "
                "which DVC keeps nothing: make it a folder again; what is large goes elsewhere "
                "by RCAN_DATA (raw data), `dvc cache dir --local FOLDER` (DVC's cache) or "
                "`mount --bind`"
            )
    if sys.flags.safe_path:  # in a queue's folder Python would take the code of the main one
        raise UserError("expected Python to take the code of this folder: unset PYTHONSAFEPATH")
    root = project_root() if os.environ.get("DVC_EXP_NAME") else Path.cwd()
    if root != Path.cwd() and is_shallow(root):
        raise UserError(
            "expected a clone with its history, found a shallow one, in which DVC loses what "
            "--queue and --temp run: `git fetch --unshallow`, then run it again"
        )


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it wherever it is
    raise Stopped


def _not_lost(dropped: "sys.UnraisableHookArgs") -> None:
    """Have an interrupt come again that Python dropped, as it does in the midst of a callback."""
    if isinstance(dropped.exc_value, KeyboardInterrupt):
        stopped = isinstance(dropped.exc_value, Stopped)
        signal.signal(signal.SIGALRM, _stop if stopped else signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(dropped)


def _what_to_do(error: Exception) -> str | None:
    """What came and the remedy, or what happened to the machine; None for a fault of our own."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return (
            "the GPU has too little memory: lower train.batch_size or generate.batch_size, "
            "or use another GPU; training goes on from its last epoch"
        )
    known = isinstance(error, UserError | UnicodeError | RecursionError)
    known = known or getattr(error, "errno", None) is not None  # Pillow raises OSError without
    if reason := _lack_of_memory(error) or (None if known else _said_where_memory_ends(error)):
        return (
            f"too little memory ({reason}): free some, or lower train.batch_size, "
            "generate.batch_size or data.image_size; training goes on from its last epoch"
        )
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, UnicodeError):
        return (
            f"text that is not UTF-8, or cannot be written in it ({error}): look for it in "
            "params.yaml and the raw data, mend it and run the same command again"
        )
    if isinstance(error, RecursionError):
        return (
            f"a file is nested too deeply ({error}): look for it in params.yaml and the raw "
            "data, mend it and run the same command again"
        )
    if isinstance(error, OSError):  # a full disk, a read-only folder, a vanished mount
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}; mend it and run the same command again"
    return None


def _withheld(error: Exception, line: str | None) -> str:
    """One line without what came, which may name a patient or quote a report: a file has it."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    kind = "bad input" if isinstance(cause, UserError) else type(cause).__name__
    reason = f", {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""
    try:
        details = project_root() / ERROR
        details.unlink(missing_ok=True)
        write_text(details, line or "".join(traceback.format_exception(error)))
    except (OSError, UserError):
        return f"{kind}{reason}; as the data are restricted, no more is told: mend {ERROR.parent}"
    return f"{kind}{reason}; as the data are restricted, the message is in {ERROR} alone: read it"


def _lack_of_memory(error: BaseException | None) -> str | None:
    """What says that memory is lacking, be it behind another error; None if nothing does."""
    if error is None:
        return None
    # Python and NumPy, the system, PyTorch and its parts: each says it in its own way.
    said = (
        "an't allocate memory", "annot allocate memory", "bad_alloc", "start new thread",
        "failed to map segment", "could not create a primitive",
    )  # fmt: skip
    lacking = (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or any(words in str(error) for words in said)
    )
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return _lack_of_memory(error.__cause__ or error.__context__) or (reason if lacking else None)


def _said_where_memory_ends(error: Exception) -> str | None:
    """An error that could have any cause, where hardly any memory is left; None where some is.

    Python up to 3.12 loses the cause: SystemError for a call, ValueError for a module that is read.
    """
    try:
        mmap.mmap(-1, 4 * ROOM).close()
    except OSError:
        return f"{type(error).__name__}: {error}"[:120]
    return None
