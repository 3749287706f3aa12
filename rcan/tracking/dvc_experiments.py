"""Names of DVC's experiments at their runs: of two that train the same, the second runs no stage,
so that none of it could give its run a name."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rcan.errors import UserError
from rcan.evaluation.results import read_best
from rcan.project import git_output

if TYPE_CHECKING:
    from rcan.tracking.tracker import Tracker

EXPERIMENT = "dvc.exp"
_LOCK = "dvc.lock"
_MODEL = re.compile(r"- path: runs/main\n(?: +(?!md5)\w+: .*\n)* +md5: (\S+)")
_REF = re.compile("refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>.+)")  # DVC's own lie elsewhere


def name_experiments(tracker: Tracker, root: Path) -> None:
    """Tag each run with all experiments of the repository at `root` that trained it, a blank
    between two names.

    Args:
        tracker: of a database of one's own: on a server others' experiments may have these names.
    """
    together = list(experiments(root).items())
    here, key = _trained(_text(root / _LOCK)), _key(root)
    for run in tracker.recorded() if together else ():
        tags = run.data.tags
        named = set(tags.get(EXPERIMENT, "").split())
        found = named.union(
            *(
                names
                for model, names in together
                if named & names or (model == here and tags["rcan.key"] == key)
            )
        )
        if found != named:
            tracker.client.set_tag(run.info.run_id, EXPERIMENT, " ".join(sorted(found)))


def experiments(root: Path) -> dict[str, set[str]]:
    """Digest of a trained model, as dvc.lock has it -> the experiments that end in it."""
    found: dict[str, set[str]] = defaultdict(set)
    for ref in git_output("for-each-ref", "--format=%(refname)", "refs/exps", folder=root).split():
        if match := _REF.fullmatch(ref):
            model = _trained(git_output("show", f"{ref}:{_LOCK}", folder=root))
            if model:
                found[model].add(match["name"])
    return found


def _trained(lock: str) -> str | None:
    """The digest of the main run's folder, by what DVC wrote of stage train."""
    found = _MODEL.search(lock.partition("\n  train:\n")[2])
    return found[1] if found else None


def _key(root: Path) -> str | None:
    try:
        best = read_best(root / "runs/main", "leave it", "key")
    except UserError:
        return None
    return str(best["key"])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
