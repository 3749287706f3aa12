"""Where the repository is, and what state its code is in."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TypedDict

from rcan.errors import UserError

MAX_DIFF_CHARS = 200_000
GIT_SECONDS = 10
# Set while git runs a hook: they name the repository of the hook, whatever the folder.
GIT_PLACES = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX",
)  # fmt: skip

# What the pipeline itself rewrites while it runs: no sign that somebody edited the code.
OUTPUTS = (":(exclude,glob)**/dvc.lock", ":(exclude)reports")


def project_root() -> Path:
    """The real repository, also from a working copy that `dvc exp run --temp` made and will delete.

    DVC names it in DVC_ROOT. Outside DVC it is the nearest folder, from the current one upwards,
    that holds both dvc.yaml and params.yaml; failing that, the checkout this package lies in.

    Raises:
        UserError: neither place is a repository of this project.
    """
    if os.environ.get("DVC_ROOT"):
        return Path(os.environ["DVC_ROOT"]).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, code_root()):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file():
            return folder
    raise UserError(
        f"no dvc.yaml and params.yaml in {here} or above it; change into the repository first"
    )


def code_root() -> Path:
    """The checkout, or else the folder of packages, whose code is running."""
    return Path(__file__).resolve().parents[1]


def raw_data_folder(name: str, configured: str | None) -> Path:
    """Where the raw files of the data set `name` lie: data.root as `configured`, else $RCAN_DATA,
    else data/raw/<name> of the project."""
    named = configured or os.environ.get("RCAN_DATA") or f"data/raw/{name}"
    return project_root() / os.path.expanduser(named)


class GitState(TypedDict):
    """The code's state; the commit is None when unknown."""

    commit: str | None
    dirty: bool
    diff: str


def git_state() -> GitState:
    """The code's state: `commit` (None when unknown), `dirty`, and `diff` of tracked text files.

    In an experiment the commit is the one DVC started from: DVC's own commits come and go. Never
    raises: without git, or outside a repository, the commit is unknown and the diff is empty.
    """
    commit = (
        os.environ.get("DVC_EXP_BASELINE_REV") or git_output("rev-parse", "HEAD").strip() or None
    )
    diff = git_output("diff", "HEAD", "--no-color", "--no-ext-diff", "--", ".", *OUTPUTS)
    if len(diff) > MAX_DIFF_CHARS:
        left_out = len(diff) - MAX_DIFF_CHARS
        diff = f"{diff[:MAX_DIFF_CHARS]}\n[{left_out} more characters left out]\n"
    return {"commit": commit, "dirty": bool(diff), "diff": diff}


def git_output(*arguments: str, folder: Path | None = None) -> str:
    """What git prints in `folder` (the current one); nothing where it fails.

    A git that refuses the whole repository is told, once a process: what is recorded lacks it.
    """
    try:
        return ask_git(*arguments, folder=folder)
    except GitError as reason:
        if reason.refuses:
            _tell(str(reason))
        return ""


class GitError(UserError):
    """Why git gave no answer; `refuses`: it would give none to any other question, either."""

    def __init__(self, message: str, *, refuses: bool = False) -> None:
        super().__init__(message)
        self.refuses = refuses


def ask_git(*arguments: str, folder: Path | None = None) -> str:
    """What git prints in `folder` (the current one), of the repository that lies there: one that a
    hook's GIT_DIR names is another.

    Raises:
        GitError: git is not there, takes too long or fails, in its own words, with its own remedy.
    """
    environment = {k: v for k, v in os.environ.items() if k not in GIT_PLACES}
    # Look, and leave the index alone; and in English, which is read below.
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, timeout=GIT_SECONDS, cwd=folder,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git did not answer within {GIT_SECONDS} s: try again on a less busy disk",
            refuses=True,
        ) from None
    except OSError as error:
        raise GitError(f"git cannot be run ({error.strerror}): install git") from None
    if done.returncode == 0:
        return done.stdout.decode("utf-8", errors="replace")
    said = done.stderr.decode("utf-8", errors="replace").strip()
    remedy = re.search(r"git config --global --add safe\.directory .+", said)  # another user's
    reason = said.partition("\n")[0] or f"exit code {done.returncode}"
    raise GitError(
        f"git says {reason}{f'; {remedy[0]}' if remedy else ''}", refuses=remedy is not None
    )


@cache
def _tell(reason: str) -> None:
    print(f"no commit and no edit is recorded: {reason}", file=sys.stderr)


def is_shallow(folder: Path) -> bool:
    """Whether `folder` is a clone without its history: git may say so, DVC's queue fails in it."""
    return git_output("rev-parse", "--is-shallow-repository", folder=folder).strip() == "true"
