"""Where the repository is, and what state its code is in."""

import os
import subprocess
from pathlib import Path
from typing import TypedDict

from rcan.errors import UserError

MAX_DIFF_CHARS = 200_000
GIT_SECONDS = 10

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
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file():
            return folder
    raise UserError(
        f"no dvc.yaml and params.yaml in {here} or above it; change into the repository first"
    )


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


def git_output(*arguments: str) -> str:
    """What git prints in the current folder; nothing where it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # look, and leave the index alone
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="replace")
