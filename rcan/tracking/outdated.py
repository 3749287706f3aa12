"""Runs that others took the place of: they stay, and the saved views leave them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rcan.ablation.plan import MAIN
from rcan.tracking.folders import CELL_TAGS

if TYPE_CHECKING:
    from rcan.tracking.tracker import Tracker

OUTDATED = "outdated"


def mark_outdated(tracker: Tracker, restored: Mapping[str, Mapping[str, str] | None]) -> None:
    """Tag older runs of the settings of a restored one, by other code or data, as outdated; and
    let a cell with its seed be one run alone.

    Args:
        tracker: of a database of one's own: on a server, the others' runs are the others' affair.
        restored: keys of the runs whose files are here -> their CELL_TAGS, None where not known.
    """
    runs = tracker.recorded()
    here = [run for run in runs if run.data.tags["rcan.key"] in restored]
    for run in runs:
        key, run_id = run.data.tags["rcan.key"], run.info.run_id
        if key in restored:
            tags = restored[key]
            wrong = {OUTDATED} | (set() if tags is None else set(CELL_TAGS) - set(tags))
        else:
            wrong = set(CELL_TAGS) if any(_same_cell(run, other) for other in here) else set()
            if any(_is_older(run, other) for other in here):
                tracker.client.set_tag(run_id, OUTDATED, "yes")
        for tag in wrong & set(run.data.tags):
            tracker.client.delete_tag(run_id, tag)


def _is_older(run: Any, other: Any) -> bool:
    return bool(
        run.data.params == other.data.params and run.info.start_time < other.info.start_time
    )


def _same_cell(run: Any, other: Any) -> bool:
    cells, others = (set(one.data.tags.get("cell", "").split()) - {MAIN} for one in (run, other))
    return (
        bool(cells & others)
        and run.data.tags.get("seed") == other.data.tags.get("seed")
        and run.data.params.get("scale") == other.data.params.get("scale")
    )
